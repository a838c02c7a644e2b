"""`kubeserve schema`: for editors and other programs."""

import click


@click.command()
@click.argument("which", type=click.Choice(["kubeserve", "platform"]), default="kubeserve")
def command(which: str) -> None:
    """Print the JSON Schema of kubeserve.yaml, or of platform.yaml."""
    import json

    from specs import schema

    document = schema.platform_schema() if which == "platform" else schema.tenant_schema()
    click.echo(json.dumps(document, indent=2))
