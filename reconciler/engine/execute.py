"""A plan in, an outcome out: the claims are recorded first, then every resource walks alone."""

from __future__ import annotations

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
    """Carries out the plan. A run that is cancelled ends early, with what was done and what was not recorded; its
    outcome is interrupted. StateError before anything is done when the claims can't be written, afterwards when the
    results can't. KeyboardInterrupt is raised on, once what was done is recorded."""
    plan = run.plan
    if plan.is_empty:
        return Outcome((), bool(plan.guards))
    run.ledger.begin(plan, run.world)
    scheduler = Scheduler(run.world.prepared.readiness, workers, run.cancelled)
    changes = [change for change in plan.work() if change.id.kind is not Kind.VARIANT]
    for change in changes:
        scheduler.spawn(change.id, _walk(run, change))
    try:
        scheduler.run()
    except (KeyboardInterrupt, Interrupted) as error:
        for change in changes:  # also those whose walk had not begun
            if change.id not in run.results:
                run.ledger.interrupted(change.id)
        if isinstance(error, Interrupted):
            run.ledger.finish(plan, Verdict.INTERRUPTED)
            return Outcome(tuple(run.results.values()), bool(plan.guards), interrupted=True)
        with suppress(StateError):  # the user sees the interruption itself
            run.ledger.finish(plan, Verdict.INTERRUPTED)
        raise
    except BaseException:
        run.ledger.finish(plan, Verdict.FAILED)
        raise
    outcome = Outcome(tuple(run.results.values()), bool(plan.guards))
    run.ledger.finish(plan, outcome.verdict)
    return outcome


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
