"""`kubeserve plan`: what apply would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import deletion_options, only_option, opened, output_option, workspace_options

if TYPE_CHECKING:
    from reconciler.model.resources import Scope


@click.command()
@workspace_options
@only_option
@output_option("text", "json", "yaml", "markdown")
@click.option("--objects", is_flag=True, help="Also show the target's own objects, and every path that differs.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the plan for `apply --plan`.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.option("--show-unchanged", is_flag=True, help="Show what stays as it is too.")
@deletion_options
def command(
    source: str | None,
    ref: str | None,
    platform: Path | None,
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
    from reconciler.cli.plans import check_scope, find_objects, plan_now, print_plan, save_plan
    from reconciler.plan.options import Options

    with opened(source, ref, platform) as workspace:
        options = Options(only, workspace.budget, allow_deletions, prune_unclaimed)
        planned = plan_now(workspace, options)
        found = find_objects(planned) if objects else None
    show_problems(planned.problems)
    check_scope(planned, only)
    print_plan(planned, output, show_unchanged=show_unchanged, objects=found)
    if out is not None:
        save_plan(planned.plan, options, out)
    if planned.is_broken or planned.plan.errors:
        return ExitCode.FAILED
    return ExitCode.CHANGES if detailed_exitcode and not planned.plan.is_empty else ExitCode.OK
