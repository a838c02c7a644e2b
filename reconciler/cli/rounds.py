"""A whole round as apply and destroy run it: show the plan, ask, show how it goes, and say how it went."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from reconciler.cli import interrupts
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
from reconciler.cli.plans import Saved, check_planned_scope, plan_text, print_plan
from reconciler.cli.progress import planning, progress
from reconciler.documents import outcome_document
from reconciler.engine.execute import Outcome
from reconciler.engine.run import Event, Result
from reconciler.model.resources import Kind
from reconciler.model.text import log_line, terminal
from reconciler.plan.inputs import PlanOptions
from reconciler.reconcile import Planned, RoundOptions, run_round
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


def round_at_terminal(workspace: Workspace, options: PlanOptions, ask: Ask, command: str) -> int:
    """Runs a round and answers the command's exit code."""
    interrupts.announce("Interrupted. Nothing was changed.")
    with _Dialogue(workspace, ask) as dialogue:
        outcome = run_round(
            workspace,
            RoundOptions(options, command, ask.lock_timeout),
            agree=dialogue.agree,
            listen=dialogue.listen,
            cancel=threading.Event(),
        )
    interrupts.announce("Interrupted.")
    if outcome is None or dialogue.planned is None:
        talk(terminal("Nothing was changed."))
        return ExitCode.FAILED
    code = ExitCode.FAILED if dialogue.planned.specs.is_broken else EXIT_CODES[outcome.verdict]
    _show(dialogue.planned, outcome, ask.output, code)
    return code


class _Dialogue:
    """What the user sees and answers while a round runs: one display after the other."""

    def __init__(self, workspace: Workspace, ask: Ask) -> None:
        self.planned: Planned | None = None
        self._workspace = workspace
        self._ask = ask
        self._display = ExitStack()
        self._show_event: Callable[[Event], None] = lambda event: None

    def __enter__(self) -> _Dialogue:
        self._display.enter_context(planning())
        return self

    def __exit__(self, *error: object) -> None:
        self._display.close()

    def agree(self, planned: Planned) -> bool:
        """Shows the plan and asks; from a yes on, shows how the round goes."""
        self._display.close()
        self.planned = planned
        self._show_plan(planned)
        if not planned.plan.is_empty:
            if self._workspace.target.place:
                talk(terminal("To {}.", self._workspace.target.place))
            if not confirm(self._ask.question, yes=self._agreed_before):
                return False
        interrupts.announce("Interrupted. What was begun is recorded; the next apply goes on from there.")
        self._show_event = self._display.enter_context(progress(planned.plan))
        return True

    def listen(self, event: Event) -> None:
        self._show_event(event)

    @property
    def _agreed_before(self) -> bool:
        return self._ask.yes or self._ask.saved is not None

    def _show_plan(self, planned: Planned) -> None:
        show_problems(planned.specs.problems)
        check_planned_scope(planned)
        if self._ask.saved is not None:
            self._ask.saved.check(planned.plan)  # before anything else is shown, which would be taken for it
        if self._ask.output == "text":
            print_plan(planned, "text")
        elif not self._agreed_before:
            talk(fold_on(sys.stderr, plan_text(planned)))  # stdout is for the outcome


def _show(planned: Planned, outcome: Outcome, output: str, code: ExitCode) -> None:
    results = sorted(outcome.results, key=lambda result: result.id)
    unfinished = (result for result in results if result.phase in UNFINISHED)
    for sharing in by_cause(unfinished, lambda result: cause_of(result.id.tenant, result.message)).values():
        show_failures(sharing)
    if results:
        talk()
        talk(terminal("{}", _tally(results)))
    if output == "json":
        print_json({**outcome_document(planned.plan, outcome), "exitCode": int(code)})
        return
    for result in results:
        if result.url:
            print_text(terminal("{}/{}  {}", result.id.tenant, result.id.name, paint(result.url, "bold")))


def show_failures(sharing: list[Result]) -> None:
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
