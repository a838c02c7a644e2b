"""A whole round as apply and destroy run it: lock, plan, show, ask, apply, and say how it went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.cli.console import confirm, paint, progress, show_problems, talk, working
from reconciler.cli.plans import check_saved, print_plan
from reconciler.engine.context import Result
from reconciler.engine.execute import Outcome
from reconciler.exit_codes import ExitCode
from reconciler.plan.diff import Options
from reconciler.plan.render_data import plan_document
from reconciler.reconcile import Planned, apply_round, plan_round
from reconciler.resources import JSON, Kind
from reconciler.state.lock import target_lock
from reconciler.state.model import FAILED_PHASES
from reconciler.workspace import Workspace

SHOWN_LOG_LINES = 10


@dataclass(frozen=True, slots=True)
class Ask:
    question: str
    yes: bool = False
    saved: Path | None = None  # a plan that was agreed to before
    output: str = "text"
    lock_timeout: float = 0.0


def run_round(workspace: Workspace, options: Options, ask: Ask, command: str) -> int:
    """The lock is taken before the plan is made, so that what is agreed to is what is done."""
    workspace.prepare_home()
    with target_lock(workspace.run_dir, command, ask.lock_timeout):
        with working() as say:
            planned = plan_round(workspace, options, say)
        show_problems(workspace.shown(planned.problems))
        if ask.output == "text":
            print_plan(planned.plan, "text")
        if ask.saved is not None:
            check_saved(planned.plan, ask.saved)
        if not planned.plan.is_empty:
            confirm(ask.question, yes=ask.yes or ask.saved is not None)
        outcome = _apply(workspace, planned)
    _show(planned, outcome, ask.output)
    return ExitCode.FAILED if planned.is_broken else outcome.exit_code


def _apply(workspace: Workspace, planned: Planned) -> Outcome:
    with progress(planned.plan) as listen:
        return apply_round(workspace, planned, listen)


def _show(planned: Planned, outcome: Outcome, output: str) -> None:
    if output == "json":
        import orjson

        click.echo(orjson.dumps(_document(planned, outcome), option=orjson.OPT_INDENT_2).decode())
        return
    for result in outcome.results:
        if result.phase in FAILED_PHASES:
            _show_failure(result)
    served = [result for result in outcome.results if result.url]
    if served:
        click.echo()
        for result in served:
            click.echo(f"{result.id.tenant}/{result.id.name}  {paint(result.url, 'bold')}")


def _show_failure(result: Result) -> None:
    talk()
    talk(f"{result.id} is {result.phase}: {result.message}")
    for line in result.log[-SHOWN_LOG_LINES:]:
        talk(f"  | {line}")
    if result.log and result.id.kind is Kind.DEPLOYMENT:
        talk(f"  More: kubeserve logs --failed {result.id.tenant}/{result.id.name}")


def _document(planned: Planned, outcome: Outcome) -> JSON:
    return {
        "plan": plan_document(planned.plan),
        "exitCode": int(outcome.exit_code),
        "results": [
            {
                "id": str(result.id),
                "phase": result.phase.value if result.phase else "Gone",
                "message": result.message,
                "url": result.url,
                "log": list(result.log),
            }
            for result in outcome.results
        ],
    }
