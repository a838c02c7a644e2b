"""`kubeserve destroy`: the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import lock_option, only_option, output_option, request_options

if TYPE_CHECKING:
    from reconciler.model.resources import Scope
    from reconciler.workspace import Request


@click.command()
@request_options
@only_option
@output_option("text", "json")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--prune-unclaimed", is_flag=True, help="Also remove what is not in the state file.")
@lock_option
def command(
    request: Request,
    only: Scope,
    output: str,
    yes: bool,
    prune_unclaimed: bool,
    lock_timeout: float,
) -> int:
    """Remove deployments and everything that runs for them. Stored versions stay.

    Shows what would be removed and asks. Doesn't read the specs, so it works even when they can't be read.
    """
    from reconciler.cli.rounds import Ask, round_at_terminal
    from reconciler.plan.inputs import PlanOptions

    with request.open() as workspace:
        options = PlanOptions(only, workspace.platform.guards, prune_unclaimed=prune_unclaimed, destroy=True)
        ask = Ask("Remove all of this?", yes=yes, output=output, lock_timeout=lock_timeout)
        return round_at_terminal(workspace, options, ask, "kubeserve destroy")
