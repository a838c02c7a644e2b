"""Every record that a round writes: the claims, and how each resource ended. No other module makes a `Record`.

The functions are pure: the previous record and a stamp in, the next record out. `Ledger` applies them to the recorder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.model.graph_digest import deployment_digest
from reconciler.model.resources import Desired, Kind, ResourceId, deployment_of
from reconciler.plan.inputs import World
from reconciler.plan.model import Action, Plan
from reconciler.state.model import FAILED_PHASES, KEPT_LOG_LINES, Phase, Record, RoundRecord, Verdict
from reconciler.state.recorder import Recorder

FIRST_BACKOFF_SECONDS = 10
LONGEST_BACKOFF_SECONDS = 600


@dataclass(frozen=True, slots=True)
class RoundStamp:
    """Which round writes a record, and when."""

    round: str
    time: datetime

    def __str__(self) -> str:
        return self.time.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class RecordedFailure:
    reason: str  # one CamelCase word, for programs
    message: str
    log: tuple[str, ...] = ()  # the last lines of a failed start


def claimed(previous: Record | None, digest: str, stamp: RoundStamp) -> Record:
    """Before anything is created: this round works on the resource."""
    previous = previous or Record(Phase.PROGRESSING)
    return Record(
        Phase.PROGRESSING,
        digest,
        previous.applied,
        since=str(stamp),
        url=previous.url,
        attempts=previous.attempts if previous.desired == digest else 0,
        round=stamp.round,
    )


def ready(previous: Record | None, digest: str, reason: str, url: str, stamp: RoundStamp) -> Record:
    """Applied, and it answers. Content that was Ready before keeps the time since when it is."""
    since = str(stamp)
    if previous and previous.phase is Phase.READY and previous.applied == digest:
        since = previous.since
    return Record(Phase.READY, digest, digest, reason, "", since, url, round=stamp.round)


def failed(previous: Record | None, phase: Phase, digest: str, failure: RecordedFailure, stamp: RoundStamp) -> Record:
    """One more failed attempt at this content. The time of the next attempt doubles with each."""
    previous = previous or Record(phase)
    attempts = previous.attempts if previous.desired == digest else 0
    attempts += previous.phase not in FAILED_PHASES  # a claim is Progressing: this round's attempt isn't counted yet
    backoff = min(FIRST_BACKOFF_SECONDS * 2 ** min(attempts - 1, 10), LONGEST_BACKOFF_SECONDS)
    return Record(
        phase,
        digest,
        previous.applied,
        failure.reason,
        failure.message,
        str(stamp),
        previous.url,
        attempts,
        str(replace(stamp, time=stamp.time + timedelta(seconds=backoff))),
        failure.log[-KEPT_LOG_LINES:],
        round=stamp.round,
    )


def deleting(previous: Record | None, stamp: RoundStamp) -> Record:
    base = previous or Record(Phase.DELETING)
    return replace(base, phase=Phase.DELETING, reason="", message="", since=str(stamp), round=stamp.round)


def interrupted(previous: Record, stamp: RoundStamp) -> Record:
    message = "The round was interrupted; the next one goes on."
    return replace(previous, reason="Interrupted", message=message, round=stamp.round)


class Ledger:
    """The records of one round. Called by walks and from workers; the recorder has the lock."""

    def __init__(self, recorder: Recorder, desired: Desired, round_id: str, clock: Callable[[], datetime]) -> None:
        self._recorder = recorder
        self._desired = desired
        self._round = round_id
        self._clock = clock
        self._started = clock()

    def begin(self, plan: Plan, world: World) -> None:
        """Writes every id that the round may create or has work on, before anything is done, and forgets what is left
        over. StateError when that can't be written."""
        claims = {}
        for change in plan.work():
            if change.action is not Action.DELETE:
                previous = self._recorder.record(change.id)
                claims[change.id] = claimed(previous, self._digest_of(change.id), self._stamp())
        self._recorder.begin(claims, leftovers(self._recorder.state.resources, plan, world))

    def ready(self, resource: ResourceId, reason: str, url: str = "") -> None:
        record = ready(self._recorder.record(resource), self._digest_of(resource), reason, url, self._stamp())
        for variant in self._variants_of(resource):  # first: a deployment is only recorded Ready with all of it
            self._recorder.update(variant, replace(record, url=""))
        self._recorder.update(resource, record)

    def blame(self, resource: ResourceId, failure: RecordedFailure, phase: Phase) -> Record:
        """Records why a resource fails, while its walk still cleans up."""
        record = failed(self._recorder.record(resource), phase, self._digest_of(resource), failure, self._stamp())
        self._recorder.update(resource, record)
        return record

    def failed(self, resource: ResourceId, failure: RecordedFailure, phase: Phase) -> None:
        """The end of a walk. A failure that `blame` has recorded is not counted twice."""
        record = self.blame(resource, failure, phase)
        for variant in self._variants_of(resource):
            kept = self._recorder.record(variant)  # a variant that never served is gone by now
            if kept is not None and kept.phase is not Phase.READY:
                self._recorder.update(variant, replace(record, url="", log=()))

    def deleting(self, resource: ResourceId) -> None:
        self._recorder.update(resource, deleting(self._recorder.record(resource), self._stamp()))

    def gone(self, resource: ResourceId) -> None:
        self._recorder.forget(resource)

    def interrupted(self, resource: ResourceId) -> None:
        """Of a walk that has not ended. A failure that is recorded already says more."""
        previous = self._recorder.record(resource)
        if previous is not None and previous.phase not in FAILED_PHASES:
            self._recorder.update(resource, interrupted(previous, self._stamp()))

    def finish(self, plan: Plan, verdict: Verdict) -> None:
        """Writes what is outstanding and the round's own record. StateError when that can't be written."""
        counts = Counter(str(change.action) for change in plan.work() if change.id.kind is not Kind.VARIANT)
        self._recorder.finish(
            RoundRecord(
                id=self._round,
                revision=plan.revision,
                started=str(RoundStamp(self._round, self._started)),
                ended=str(self._stamp()),
                outcome=verdict,
                counts=dict(counts),
            )
        )

    def _stamp(self) -> RoundStamp:
        return RoundStamp(self._round, self._clock())

    def _digest_of(self, resource: ResourceId) -> str:
        if resource.kind is Kind.DEPLOYMENT and resource in self._desired.deployments:
            return deployment_digest(self._desired, self._desired.deployments[resource])
        if resource in self._desired.versions:
            return self._desired.versions[resource].digest
        return ""

    def _variants_of(self, resource: ResourceId) -> tuple[ResourceId, ...]:
        return tuple(v.id for v in self._desired.variants_of.get(resource, ()))


def leftovers(recorded: Iterable[ResourceId], plan: Plan, world: World) -> tuple[ResourceId, ...]:
    """Recorded, neither live nor desired: claims of a round that was killed before it used them, and versions that no
    spec names any more. The store keeps its versions all the same."""
    return tuple(resource for resource in recorded if _is_left_over(resource, plan, world))


def _is_left_over(resource: ResourceId, plan: Plan, world: World) -> bool:
    scope, desired = plan.scope, world.desired
    if resource in world.live.resources:
        return False
    match resource.kind:
        case Kind.VARIANT:
            return deployment_of(resource) in scope and resource not in desired.variants
        case Kind.VERSION | Kind.TENANT:
            asked = resource in desired.versions or resource in desired.tenants
            return scope.is_whole(resource.tenant) and not asked and not desired.is_protected(resource.tenant)
        case Kind.DEPLOYMENT:  # the plan says when one goes
            return False
