"""`kubeserve plan`: what apply would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import deletion_options, only_option, output_option, request_options

if TYPE_CHECKING:
    from reconciler.model.resources import Scope
    from reconciler.workspace import Request


@click.command()
@request_options
@only_option
@output_option("text", "json", "yaml", "markdown")
@click.option("--objects", is_flag=True, help="Also show the target's objects, and every path that differs.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the plan for `apply --plan`.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.option("--show-unchanged", is_flag=True, help="Also show what stays as it is.")
@deletion_options
def command(
    request: Request,
    only: Scope,
    output: str,
    objects: bool,
    out: Path | None,
    detailed_exitcode: bool,
    show_unchanged: bool,
    allow_deletions: bool,
    prune_unclaimed: bool,
) -> int:
    """Show what `apply` would do. Changes nothing.

    Exits with 1 when a spec has an error or a change can't be carried out.
    """
    from reconciler.cli.console import show_problems
    from reconciler.cli.plans import check_planned_scope, find_objects, print_plan, save_plan
    from reconciler.cli.progress import planning
    from reconciler.plan.inputs import PlanOptions
    from reconciler.reconcile import plan_round

    with request.open() as workspace:
        options = PlanOptions(only, workspace.platform.guards, allow_deletions, prune_unclaimed)
        with planning():
            planned = plan_round(workspace, options)
        found = find_objects(planned) if objects else None
    show_problems(planned.specs.problems)
    check_planned_scope(planned)
    print_plan(planned, output, show_unchanged=show_unchanged, objects=found)
    if out is not None:
        save_plan(planned.plan, options, out)
    if planned.specs.is_broken or planned.plan.errors:
        return ExitCode.FAILED
    return ExitCode.CHANGES if detailed_exitcode and not planned.plan.is_empty else ExitCode.OK
