"""A plan in, an outcome out: claims first, then every resource walks alone. Called by `reconcile.py`."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass

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
from reconciler.plan.model import Action, Change
from reconciler.resources import Kind, ResourceId, deployment_of
from reconciler.state.model import Phase, Record, RoundRecord

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
    """Carries out what the plan shows. KeyboardInterrupt is raised on, after what was done is recorded."""
    plan = round_.plan
    if plan.is_empty:
        return Outcome((), bool(plan.guards))
    started = round_.clock()
    for resource in leftovers(round_):
        round_.recorder.forget(resource)
    round_.recorder.begin(claims(round_))
    scheduler = Scheduler(round_.target.readiness, workers, round_.cancelled)
    for change in plan.work():
        if change.id.kind is not Kind.VARIANT:
            scheduler.spawn(change.id, _walk(round_, change))
    ending = "failed"
    try:
        scheduler.run()
        outcome = Outcome(tuple(round_.results.values()), bool(plan.guards))
        ending = _ending(outcome)
        return outcome
    except KeyboardInterrupt:
        ending = "interrupted"
        raise
    finally:
        counts = Counter(str(change.action) for change in plan.work() if change.id.kind is not Kind.VARIANT)
        ended = round_.clock()
        round_.recorder.finish(
            RoundRecord(
                id=str(uuid.uuid4()),
                revision=plan.revision,
                started=started.isoformat(timespec="seconds"),
                ended=ended.isoformat(timespec="seconds"),
                outcome=ending,
                counts=dict(counts),
            )
        )


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


def leftovers(round_: Round) -> list[ResourceId]:
    """Variants that a round claimed and did not live to make, and that nobody asks for any more."""
    return [
        resource
        for resource in round_.recorder.state.resources
        if resource.kind is Kind.VARIANT
        and deployment_of(resource) in round_.plan.scope
        and resource not in round_.live.resources
        and resource not in round_.desired.variants
    ]


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
