"""A plan in, an outcome out: claims first, then every resource walks alone. Called by `reconcile.py`."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from reconciler.engine.context import Result, Round
from reconciler.engine.scheduler import Scheduler, Walk
from reconciler.engine.walks import (
    adoption_walk,
    deletion_walk,
    deployment_walk,
    tenant_walk,
    version_walk,
)
from reconciler.exit_codes import ExitCode
from reconciler.model.resources import Kind, ResourceId, deployment_of
from reconciler.plan.model import Action, Change
from reconciler.state.model import Phase, Record, RoundRecord, StateError

WORKERS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    results: tuple[Result, ...]
    withheld: bool = False  # a guard held deletions back

    @property
    def exit_code(self) -> ExitCode:
        phases = {result.phase for result in self.results}
        if self.withheld or phases & {Phase.FAILED, Phase.DELETING}:
            return ExitCode.FAILED
        return ExitCode.DEGRADED if Phase.DEGRADED in phases else ExitCode.OK


def execute(round_: Round, workers: int = WORKERS) -> Outcome:
    """Carries out what the plan shows. StateError before anything is done when it can't be recorded; after, when how it
    went can't. KeyboardInterrupt is raised on, once what was done is recorded."""
    plan = round_.plan
    if plan.is_empty:
        return Outcome((), bool(plan.guards))
    started = round_.clock()
    round_.recorder.begin(claims(round_), leftovers(round_))
    scheduler = Scheduler(round_.target.readiness, workers, round_.cancelled)
    for change in plan.work():
        if change.id.kind is not Kind.VARIANT:
            scheduler.spawn(change.id, _walk(round_, change))
    try:
        scheduler.run()
    except KeyboardInterrupt:
        with suppress(StateError):  # its user is told of the interruption
            for change in plan.work():  # those too whose walk had not begun
                if change.id.kind is not Kind.VARIANT and change.id not in round_.results:
                    round_.interrupted(change.id)
            _finish(round_, started, "interrupted")
        raise
    except BaseException:
        _finish(round_, started, "failed")
        raise
    outcome = Outcome(tuple(round_.results.values()), bool(plan.guards))
    _finish(round_, started, _ending(outcome))
    return outcome


def claims(round_: Round) -> dict[ResourceId, Record]:
    """Every id that this round may create or take over, before it does."""
    found = {}
    for change in round_.plan.work():
        if change.action is not Action.DELETE and change.action is not Action.UNCHANGED:
            previous = round_.recorder.record(change.id) or Record(Phase.PROGRESSING)
            digest = round_.digest_of(change.id)
            found[change.id] = Record(
                Phase.PROGRESSING,
                digest,
                previous.applied,
                since=round_.clock().isoformat(timespec="seconds"),
                url=previous.url,
                attempts=previous.attempts if previous.desired == digest else 0,
            )
    return found


def leftovers(round_: Round) -> tuple[ResourceId, ...]:
    """What is recorded, not there and not asked for: claims of a round that did not live to use them, versions that no
    spec names any more. A store keeps its versions all the same."""
    return tuple(r for r in round_.recorder.state.resources if _is_left_over(round_, r))


def _is_left_over(round_: Round, resource: ResourceId) -> bool:
    scope, desired = round_.plan.scope, round_.desired
    if resource in round_.live.resources:
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


def _finish(round_: Round, started: datetime, ending: str) -> None:
    counts = Counter(str(change.action) for change in round_.plan.work() if change.id.kind is not Kind.VARIANT)
    round_.recorder.finish(
        RoundRecord(
            id=str(uuid.uuid4()),
            revision=round_.plan.revision,
            started=started.isoformat(timespec="seconds"),
            ended=round_.clock().isoformat(timespec="seconds"),
            outcome=ending,
            counts=dict(counts),
        )
    )


def _walk(round_: Round, change: Change) -> Walk:
    match change.action, change.id.kind:
        case Action.DELETE, _:
            return deletion_walk(round_, change)
        case Action.ADOPT, _:
            return adoption_walk(round_, change)
        case _, Kind.TENANT:
            return tenant_walk(round_, change)
        case _, Kind.VERSION:
            return version_walk(round_, change)
        case _:
            return deployment_walk(round_, change)


def _ending(outcome: Outcome) -> str:
    return {ExitCode.OK: "succeeded", ExitCode.DEGRADED: "degraded"}.get(outcome.exit_code, "failed")
