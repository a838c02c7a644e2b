"""`kubeserve version`."""

import click

from reconciler.cli.options import output_option


@click.command()
@output_option("text", "json")
def command(output: str) -> None:
    """Print the version of KubeServe and of the Python that runs it."""
    import json
    import platform
    from importlib.metadata import version

    found = {"kubeserve": version("kubeserve"), "python": platform.python_version(), "system": platform.system()}
    if output == "json":
        click.echo(json.dumps(found))
    else:
        click.echo(f"kubeserve {found['kubeserve']} (Python {found['python']}, {found['system']})")
