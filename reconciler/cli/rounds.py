"""A whole round as apply and destroy run it: lock, plan, show, ask, apply, and say how it went."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass

import click

from reconciler.cli.causes import by_cause, cause_of
from reconciler.cli.console import (
    confirm,
    count,
    fold_on,
    paint,
    print_json,
    print_text,
    show_problems,
    talk,
    verbosity,
)
from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.interrupts import is_working, leave, tell
from reconciler.cli.plans import Saved, check_scope, plan_now, plan_text, print_plan
from reconciler.cli.progress import progress
from reconciler.engine.execute import Outcome
from reconciler.engine.run import Result
from reconciler.model.resources import JSON, Kind
from reconciler.model.text import log_line, terminal
from reconciler.plan.options import Options
from reconciler.plan.views.data import plan_document
from reconciler.reconcile import Planned, apply_round
from reconciler.state.model import FAILED_PHASES, Phase, Verdict
from reconciler.workspace import Workspace

SHOWN_LOG_LINES = 10
EXIT_CODES = {
    Verdict.SUCCEEDED: ExitCode.OK,
    Verdict.DEGRADED: ExitCode.DEGRADED,
    Verdict.FAILED: ExitCode.FAILED,
    Verdict.INTERRUPTED: ExitCode.INTERRUPTED,
}
UNFINISHED = FAILED_PHASES | {Phase.DELETING}


@dataclass(frozen=True, slots=True)
class Ask:
    question: str
    yes: bool = False
    saved: Saved | None = None  # a plan that was agreed to before
    output: str = "text"
    lock_timeout: float = 0.0


def run_round(workspace: Workspace, options: Options, ask: Ask, command: str) -> int:
    """The lock is taken before the plan is made, so that what is agreed to is what is done."""
    workspace.prepare_home()
    with workspace.target.lock(command, ask.lock_timeout):
        try:
            planned = _agreed(workspace, options, ask)
        except (KeyboardInterrupt, click.Abort):
            tell("Interrupted. Nothing was changed.")
            raise
        try:
            with progress(planned.plan) as listen:
                outcome = apply_round(workspace, planned, listen)
        except KeyboardInterrupt:
            tell("Interrupted. What was begun is recorded; the next apply goes on from there.")
            if is_working():  # what still writes keeps the lock
                leave()
            raise
    _show(planned, outcome, ask.output)
    return _exit_code(planned, outcome)


def _agreed(workspace: Workspace, options: Options, ask: Ask) -> Planned:
    """The plan, shown and agreed to."""
    planned = plan_now(workspace, options)
    show_problems(planned.problems)
    check_scope(planned, options.scope)
    if ask.saved is not None:
        ask.saved.check(planned.plan)  # before anything else is shown, which would be taken for it
    agreed = ask.yes or ask.saved is not None
    if ask.output == "text":
        print_plan(planned, "text")
    elif not agreed:
        talk(fold_on(sys.stderr, plan_text(planned)))  # stdout is for the outcome
    if workspace.target.place and not planned.plan.is_empty:
        talk(terminal("To {}.", workspace.target.place))
    if not planned.plan.is_empty:
        confirm(ask.question, yes=agreed)
    return planned


def _exit_code(planned: Planned, outcome: Outcome) -> ExitCode:
    return ExitCode.FAILED if planned.is_broken else EXIT_CODES[outcome.verdict]


def _show(planned: Planned, outcome: Outcome, output: str) -> None:
    results = sorted(outcome.results, key=lambda result: result.id)
    unfinished = (result for result in results if result.phase in UNFINISHED)
    for sharing in by_cause(unfinished, lambda result: cause_of(result.id.tenant, result.message)).values():
        _show_failures(sharing)
    if results:
        talk()
        talk(terminal("{}", _tally(results)))
    if output == "json":
        print_json(_document(planned, outcome, results))
        return
    for result in results:
        if result.url:
            print_text(terminal("{}/{}  {}", result.id.tenant, result.id.name, paint(result.url, "bold")))


def _show_failures(sharing: list[Result]) -> None:
    """Results with one cause, which is shown once; each with its own log."""
    talk()
    first, *others = sharing
    talk(fold_on(sys.stderr, terminal("{} is {}: {}", first.id, first.phase, first.message)))
    _show_log(first)
    for result in others:
        talk(terminal("{} is {} for the same cause.", result.id, result.phase))
        _show_log(result)


def _show_log(result: Result) -> None:
    shown = result.log if verbosity() else result.log[-SHOWN_LOG_LINES:]
    for line in shown:
        talk(terminal("  | {}", log_line(line)))
    if result.log and result.id.kind is Kind.DEPLOYMENT:
        talk(terminal("  More: kubeserve logs --failed {}/{}", result.id.tenant, result.id.name))


def _tally(results: list[Result]) -> str:
    """`3 deployments: 2 Ready, 1 Degraded.`"""
    deployments = [result for result in results if result.id.kind is Kind.DEPLOYMENT]
    if not deployments:
        return "Done."
    phases = Counter(str(result.phase or "gone") for result in deployments)
    return f"{count(len(deployments), 'deployment')}: " + ", ".join(f"{n} {phase}" for phase, n in phases.items()) + "."


def _document(planned: Planned, outcome: Outcome, results: list[Result]) -> JSON:
    return {
        "plan": plan_document(planned.plan),
        "exitCode": int(_exit_code(planned, outcome)),
        "results": [
            {
                "id": str(result.id),
                "phase": result.phase.value if result.phase else "Gone",
                "message": result.message,
                "url": result.url,
                "log": list(result.log),
            }
            for result in results
        ],
    }
