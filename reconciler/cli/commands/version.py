"""`kubeserve version`."""

import click


@click.command()
def command() -> None:
    """Print the version of KubeServe and of the Python that runs it."""
    import platform
    from importlib.metadata import version

    click.echo(f"kubeserve {version('kubeserve')} (Python {platform.python_version()}, {platform.system()})")
