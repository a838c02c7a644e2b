"""A plan in, an outcome out: the claims are recorded first, then every resource walks alone."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from reconciler.engine.run import Result, Run
from reconciler.engine.scheduler import Interrupted, Scheduler, Walk
from reconciler.engine.walks import (
    adoption_walk,
    deletion_walk,
    deployment_walk,
    tenant_walk,
    version_walk,
)
from reconciler.model.resources import Kind
from reconciler.plan.model import Action, Change
from reconciler.state.model import Phase, StateError, Verdict

WORKERS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    results: tuple[Result, ...]
    withheld: bool = False  # a guard held deletions back
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        phases = {result.phase for result in self.results}
        if self.interrupted:
            return Verdict.INTERRUPTED
        if self.withheld or phases & {Phase.FAILED, Phase.DELETING}:
            return Verdict.FAILED
        return Verdict.DEGRADED if Phase.DEGRADED in phases else Verdict.SUCCEEDED


def execute(run: Run, workers: int = WORKERS) -> Outcome:
    """Carries out the plan.

    A run that is cancelled records what was done, waits until no call to the target is running, and answers an outcome
    that is interrupted. A KeyboardInterrupt does the same and is raised on: the process may be ended once the record is
    written, by a second one or a timer. StateError before anything is done when the claims can't be written, afterwards
    when the results can't.
    """
    plan = run.plan
    if plan.is_empty:
        return Outcome((), bool(plan.guards))
    run.ledger.begin(plan, run.world)
    scheduler = Scheduler(run.world.prepared.readiness, workers, run.cancelled)
    changes = [change for change in plan.work() if change.id.kind is not Kind.VARIANT]
    for change in changes:
        scheduler.spawn(change.id, _walk(run, change))
    interrupted = False
    try:
        scheduler.run()
    except Interrupted:
        interrupted = True
        _record_interruption(run, changes)
    except KeyboardInterrupt:
        _record_interruption(run, changes)
        with suppress(StateError):  # the user sees the interruption itself
            run.ledger.finish(plan, Verdict.INTERRUPTED)
        scheduler.wait()
        raise
    except BaseException:
        run.ledger.finish(plan, Verdict.FAILED)
        scheduler.wait()
        raise
    scheduler.wait()
    outcome = Outcome(tuple(run.results.values()), bool(plan.guards), interrupted)
    run.ledger.finish(plan, outcome.verdict)
    return outcome


def _record_interruption(run: Run, changes: Iterable[Change]) -> None:
    """Of every walk that has no result, also of those that had not begun."""
    for change in changes:
        if change.id not in run.results:
            run.ledger.interrupted(change.id)


def _walk(run: Run, change: Change) -> Walk:
    match change.action, change.id.kind:
        case Action.DELETE, _:
            return deletion_walk(run, change)
        case Action.ADOPT, _:
            return adoption_walk(run, change)
        case _, Kind.TENANT:
            return tenant_walk(run, change)
        case _, Kind.VERSION:
            return version_walk(run, change)
        case _:
            return deployment_walk(run, change)
