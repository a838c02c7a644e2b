"""`kubeserve apply`: plan, ask, and make it so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import deletion_options, lock_option, only_option, output_option, request_options

if TYPE_CHECKING:
    from reconciler.model.resources import Scope
    from reconciler.workspace import Request


@click.command()
@request_options
@only_option
@output_option("text", "json")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--plan",
    "saved",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Apply a plan that `plan --out` saved, without asking; refused if it is out of date.",
)
@lock_option
@deletion_options
def command(
    request: Request,
    only: Scope,
    output: str,
    yes: bool,
    saved: Path | None,
    lock_timeout: float,
    allow_deletions: bool,
    prune_unclaimed: bool,
) -> int:
    """Make what runs equal to what the specs ask for.

    Shows the plan and asks. A new version takes traffic only after it answers; if it fails, the old one keeps serving.

    Exits with 3 when a rollout kept its old version, and with 1 when something failed with nothing serving or a
    spec has an error.
    """
    from reconciler.cli.plans import read_saved
    from reconciler.cli.rounds import Ask, round_at_terminal
    from reconciler.model.resources import Scope
    from reconciler.plan.inputs import PlanOptions

    plan = read_saved(saved) if saved else None
    if plan is not None:
        if only != Scope() or allow_deletions or prune_unclaimed:
            raise click.UsageError("A saved plan says itself what it is about: give no other option beside --plan.")
        only, allow_deletions, prune_unclaimed = plan.scope, plan.allow_deletions, plan.prune_unclaimed
    with request.open() as workspace:
        options = PlanOptions(only, workspace.platform.guards, allow_deletions, prune_unclaimed)
        ask = Ask("Apply this plan?", yes=yes, saved=plan, output=output, lock_timeout=lock_timeout)
        return round_at_terminal(workspace, options, ask, "kubeserve apply")
