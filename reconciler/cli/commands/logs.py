"""`kubeserve logs`: what a deployment's model server writes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import request_options

if TYPE_CHECKING:
    from reconciler.model.resources import ResourceId
    from reconciler.workspace import Request, Workspace


@click.command()
@click.argument("deployment", metavar="[TENANT/]DEPLOYMENT")
@request_options
@click.option("-f", "--follow", is_flag=True, help="Follow new lines until interrupted.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="Number of lines to show."
)
@click.option("--failed", is_flag=True, help="Show the log of the last start that failed.")
@click.option("--variant", help="A variant or version; by default every one that runs.")
def command(
    deployment: str,
    request: Request,
    follow: bool,
    lines: int,
    failed: bool,
    variant: str | None,
) -> int:
    """Show what a deployment's model server writes.

    Colours are removed and other control characters shown as escapes, also in a pipe.
    """
    from reconciler.cli.naming import find_deployment

    if failed and (follow or variant):
        raise click.UsageError("--failed shows the one log that is kept; it takes neither --follow nor --variant.")
    with request.open() as workspace:
        name = find_deployment(workspace, deployment)
        if failed:
            print_lines(_failed(workspace, name, lines))
            return ExitCode.OK
        chosen = _variants(workspace, name, variant)
        try:
            print_lines(workspace.target.logs(chosen, lines=lines, follow=follow))
        except KeyboardInterrupt:
            if follow:  # the usual way to end it
                return ExitCode.INTERRUPTED
            raise
    return ExitCode.OK


def print_lines(lines: Iterable[str]) -> None:
    """Also into a pipe as text that a terminal or a CI system may be given: what reads it prints it in the end."""
    from reconciler.cli.console import print_text
    from reconciler.model.text import log_line

    for line in lines:
        print_text(log_line(line))
        sys.stdout.flush()


def _failed(workspace: Workspace, deployment: ResourceId, lines: int) -> Sequence[str]:
    """The log that the target kept of the failed start, else the state file's lines. TargetError: neither has any."""
    from reconciler.cli.console import talk
    from reconciler.model.text import terminal
    from reconciler.targets.protocol import TargetError

    try:
        return tuple(workspace.target.failed_logs(deployment, lines=lines))
    except TargetError as error:
        record = workspace.state_file.load().resources.get(deployment)
        if record is None or not record.log:
            raise
        talk(terminal("{}. These are the last lines in the state file:", error.summary))
        return record.log[-lines:] if lines else ()


def _variants(workspace: Workspace, deployment: ResourceId, wanted: str | None) -> list[ResourceId]:
    """The requested variants, newest last. NamingError when none matches."""
    from reconciler.cli.naming import NamingError
    from reconciler.model.resources import Scope
    from specs.names import listing, quoted

    live = workspace.target.observe(Scope.of(deployment.tenant))
    found = [v for v in live.variants.values() if v.deployment == deployment]
    chosen = [v.id for v in found if wanted in (None, v.id.name, v.version)]
    if chosen:
        return chosen
    if wanted is not None and found:
        known = listing(f"{v.id.name} (version {v.version})" for v in found)
        raise NamingError("No such variant", f"{quoted(wanted)} of {deployment.name} does not run; there is {known}.")
    raise NamingError(
        "Nothing runs",
        f"Nothing of {deployment.tenant}/{deployment.name} runs. `kubeserve logs --failed` shows a start that failed, "
        "and `kubeserve status` how it is.",
    )
