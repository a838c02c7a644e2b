"""A plan in, an outcome out: claims first, then every resource walks alone. Called by `reconcile.py`."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from reconciler.engine.run import Result, Run
from reconciler.engine.scheduler import Scheduler, Walk
from reconciler.engine.walks import (
    adoption_walk,
    deletion_walk,
    deployment_walk,
    tenant_walk,
    version_walk,
)
from reconciler.model.resources import Kind, ResourceId, deployment_of
from reconciler.plan.model import Action, Change
from reconciler.state.model import Phase, Record, RoundRecord, StateError, Verdict

WORKERS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    results: tuple[Result, ...]
    withheld: bool = False  # a guard held deletions back

    @property
    def verdict(self) -> Verdict:
        phases = {result.phase for result in self.results}
        if self.withheld or phases & {Phase.FAILED, Phase.DELETING}:
            return Verdict.FAILED
        return Verdict.DEGRADED if Phase.DEGRADED in phases else Verdict.SUCCEEDED


def execute(run: Run, workers: int = WORKERS) -> Outcome:
    """Carries out what the plan shows. StateError before anything is done when it can't be recorded; after, when how it
    went can't. KeyboardInterrupt is raised on, once what was done is recorded."""
    plan = run.plan
    if plan.is_empty:
        return Outcome((), bool(plan.guards))
    started = run.clock()
    run.recorder.begin(claims(run), leftovers(run))
    scheduler = Scheduler(run.target.readiness, workers, run.cancelled)
    for change in plan.work():
        if change.id.kind is not Kind.VARIANT:
            scheduler.spawn(change.id, _walk(run, change))
    try:
        scheduler.run()
    except KeyboardInterrupt:
        with suppress(StateError):  # its user is told of the interruption
            for change in plan.work():  # those too whose walk had not begun
                if change.id.kind is not Kind.VARIANT and change.id not in run.results:
                    run.interrupted(change.id)
            _finish(run, started, Verdict.INTERRUPTED)
        raise
    except BaseException:
        _finish(run, started, Verdict.FAILED)
        raise
    outcome = Outcome(tuple(run.results.values()), bool(plan.guards))
    _finish(run, started, outcome.verdict)
    return outcome


def claims(run: Run) -> dict[ResourceId, Record]:
    """Every id that this round may create or take over, before it does."""
    found = {}
    for change in run.plan.work():
        if change.action is not Action.DELETE and change.action is not Action.UNCHANGED:
            previous = run.recorder.record(change.id) or Record(Phase.PROGRESSING)
            digest = run.digest_of(change.id)
            found[change.id] = Record(
                Phase.PROGRESSING,
                digest,
                previous.applied,
                since=run.clock().isoformat(timespec="seconds"),
                url=previous.url,
                attempts=previous.attempts if previous.desired == digest else 0,
            )
    return found


def leftovers(run: Run) -> tuple[ResourceId, ...]:
    """What is recorded, not there and not asked for: claims of a round that did not live to use them, versions that no
    spec names any more. A store keeps its versions all the same."""
    return tuple(r for r in run.recorder.state.resources if _is_left_over(run, r))


def _is_left_over(run: Run, resource: ResourceId) -> bool:
    scope, desired = run.plan.scope, run.world.desired
    if resource in run.world.live.resources:
        return False
    match resource.kind:
        case Kind.VARIANT:
            return deployment_of(resource) in scope and resource not in desired.variants
        case Kind.VERSION | Kind.TENANT:
            asked = resource in desired.versions or resource in desired.tenants
            whole = resource in scope and scope.deployment is None
            return whole and not asked and not desired.is_protected(resource.tenant)
        case Kind.DEPLOYMENT:  # the plan says when one goes
            return False


def _finish(run: Run, started: datetime, verdict: Verdict) -> None:
    counts = Counter(str(change.action) for change in run.plan.work() if change.id.kind is not Kind.VARIANT)
    run.recorder.finish(
        RoundRecord(
            id=str(uuid.uuid4()),
            revision=run.plan.revision,
            started=started.isoformat(timespec="seconds"),
            ended=run.clock().isoformat(timespec="seconds"),
            outcome=verdict,
            counts=dict(counts),
        )
    )


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
