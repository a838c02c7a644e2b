"""Whether variants are ready: asks all their replicas at once, and says why a replica that has ended did so.

Called several times a second during a rollout, with short time limits. A broken variant delays no other's result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from reconciler.model.resources import ResourceId
from reconciler.targets.endings import before_dump
from reconciler.targets.local import failures
from reconciler.targets.local.logs import said
from reconciler.targets.local.marks import VariantMark
from reconciler.targets.local.probe import QUICK_SECONDS, Address, Answer, probe
from reconciler.targets.local.replicas import Replica, replicas_of
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.protocol import Readiness, ReadinessState

QUOTED_LINES = 20

_NOT_THERE = Readiness(ReadinessState.FAILED, "nothing of it runs here")


@dataclass(frozen=True, slots=True)
class Observed:
    """A variant as its files describe it, before its replicas are asked."""

    mark: VariantMark
    replicas: tuple[Replica, ...]

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(r.address for r in self.replicas if r.serves and r.address)

    def ready(self, answers: Mapping[Address, Answer]) -> tuple[Address, ...]:
        """The addresses that serve the expected version."""
        return tuple(a for a in self.addresses if answers[a].is_ready(self.mark.digest))

    def awaited(self, answers: Mapping[Address, Answer]) -> str:
        """What the first replica that is not ready waits for, as it reports it; empty if all that run are ready."""
        ready = self.ready(answers)
        waiting = [replica for replica in self.replicas if replica.serves and replica.address not in ready]
        reasons = [answers[r.address].reason for r in waiting if r.address]
        return next(filter(None, reasons), "it does not answer yet") if waiting else ""


def read_variant(run_dir: RunDir, variant: ResourceId) -> Observed | None:
    folder = run_dir.variant(variant)
    mark = folder.mark()
    return Observed(mark, replicas_of(folder)) if mark is not None else None


def readiness(run_dir: RunDir, variants: Collection[ResourceId]) -> dict[ResourceId, Readiness]:
    found = {variant: read_variant(run_dir, variant) for variant in variants}
    addresses = [address for observed in found.values() if observed for address in observed.addresses]
    answers = probe(addresses, QUICK_SECONDS)
    return {variant: _judge(observed, answers) if observed else _NOT_THERE for variant, observed in found.items()}


def _judge(observed: Observed, answers: Mapping[Address, Answer]) -> Readiness:
    mark, ready = observed.mark, len(observed.ready(answers))
    ended = [r for r in observed.replicas if not r.alive and r.kill_at is None]
    if ended:
        return _failed(ended[0], failures.cause_of(ended[0]), ready)
    serving = [r for r in observed.replicas if r.serves]
    if len(serving) < mark.wanted:
        cause = f"{len(serving)} of {mark.wanted} replicas run"
        return Readiness(ReadinessState.FAILED, cause, ready=ready)
    for replica in serving:
        answer = answers.get(replica.address or ("", 0), Answer())
        if answer.digest not in ("", mark.digest):
            return _failed(replica, f"it serves {answer.digest}, not {mark.digest}", ready)
    if ready >= mark.wanted:
        return Readiness(ReadinessState.READY, ready=ready)
    return Readiness(ReadinessState.WAITING, observed.awaited(answers), ready=ready)


def _failed(replica: Replica, cause: str, ready: int) -> Readiness:
    log = before_dump(said(*replica.folder.logs, QUOTED_LINES + failures.DUMP_LINES))[-QUOTED_LINES:]
    return Readiness(ReadinessState.FAILED, cause, tuple(log), ready)
