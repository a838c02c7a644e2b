"""`kubeserve schema`: for editors and other programs."""

import click


@click.command()
@click.argument("which", type=click.Choice(["kubeserve", "platform"]), default="kubeserve")
def command(which: str) -> None:
    """Print the JSON Schema of kubeserve.yaml, or of platform.yaml."""
    from reconciler.cli.console import print_data
    from specs.schema import as_text, platform_schema, tenant_schema

    print_data(as_text(platform_schema() if which == "platform" else tenant_schema()))
