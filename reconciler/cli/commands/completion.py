"""`kubeserve completion SHELL`."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    For example: eval "$(kubeserve completion bash)"
    """
    from reconciler.cli.console import print_data
    from reconciler.cli.root import kubeserve

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"No completion for {shell!r}.")
    print_data(completion(kubeserve, {}, "kubeserve", "_KUBESERVE_COMPLETE").source())
