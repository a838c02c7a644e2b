"""`kubeserve version`."""

import click

from reconciler.cli.options import output_option


@click.command()
@output_option("text", "json")
def command(output: str) -> None:
    """Print the versions of KubeServe and of the Python that runs it."""
    import platform
    from importlib.metadata import version

    from reconciler.cli.console import print_data, print_text
    from reconciler.model.text import json_text, terminal

    found = {"kubeserve": version("kubeserve"), "python": platform.python_version(), "system": platform.system()}
    if output == "json":
        print_data(json_text(found, indent=False))
    else:
        print_text(terminal("kubeserve {} (Python {}, {})", found["kubeserve"], found["python"], found["system"]))
