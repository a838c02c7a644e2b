"""Follows the variants that a round waits for: watches report changes, and only changed variants are judged again.

Called by `target.py`. A few variants are watched by their names, together with their ReplicaSets and Pods; for many,
only the Deployments are watched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from reconciler.model.resources import ResourceId
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.objects.identity import VARIANT, Object, owner, selector
from reconciler.targets.kubernetes.objects.kinds import WORKLOAD
from reconciler.targets.kubernetes.readiness.evidence import Explanations, Listed, Watched, named
from reconciler.targets.kubernetes.readiness.informer import Informer
from reconciler.targets.kubernetes.readiness.pods import Pulls
from reconciler.targets.kubernetes.readiness.rollout import Parts, readiness
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.protocol import Readiness, ReadinessState

FEW = 8  # variants


@dataclass
class Watcher:
    """Safe for threads."""

    kube: KubeClient
    installation: str
    timing: Timing = field(default_factory=Timing)
    _watch: _Watch | None = None
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, variants: Collection[ResourceId]) -> dict[ResourceId, Readiness]:
        """KubeError while the cluster can't be watched."""
        while True:
            watch = self._covering(variants)
            try:
                seen = watch.look(variants)
            except KubeError:
                if watch.ended:  # by another thread, which needed a wider one
                    continue
                raise
            return seen

    def confirm(self, variants: Collection[ResourceId]) -> dict[ResourceId, Readiness]:
        """The same, from nothing that may be out of date."""
        watch = self._covering(variants)
        if watch.is_fresh:
            return self.look(variants)
        found: dict[ResourceId, Object] = {}
        for one in self.kube.list(*WORKLOAD, labels=named(self.installation, {v.name for v in variants})):
            if (of := owner(one)) is not None:
                found[of] = one
        return {variant: readiness(self.kube, Parts(found.get(variant))) for variant in variants}

    def expect(self, variant: ResourceId, deployment: Object) -> None:
        """Reports a Deployment that was just written."""
        with self._lock:
            if self._watch is not None:
                self._watch.expect(variant, deployment)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._watch is not None:
                self._watch.end()

    def _covering(self, variants: Collection[ResourceId]) -> _Watch:
        """The current watch if it covers these variants; else a new one that covers them too, or all variants."""
        names = {variant.name for variant in variants}
        with self._lock:
            if self._closed:
                raise KubeError(Reason.OTHER, "watch", "the target is closed")
            if self._watch is None or not self._watch.covers(names):
                before, known = self._watch, self._watch.names if self._watch else frozenset()
                names |= known
                self._watch = _Watch(self.kube, self.installation, self.timing, names if len(names) <= FEW else ())
                if before is not None:
                    before.end()
            return self._watch


class _Watch:
    """Watches the named variants; all where none is named."""

    def __init__(self, kube: KubeClient, installation: str, timing: Timing, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self.ended = False
        self._kube = kube
        self._timing = timing
        self._pulls = Pulls(timing.pulling)
        self._noting = threading.Lock()
        self._looking = threading.Lock()
        self._changed: set[ResourceId] = set()  # its Deployment
        self._explained: set[ResourceId] = set()  # its ReplicaSets or Pods
        self._moved: dict[ResourceId, float] = {}  # when its Deployment changed last, by the monotonic clock
        self._seen: dict[ResourceId, Readiness] = {}
        self._due: dict[ResourceId, float] = {}  # when to look again though nothing changes, by the monotonic clock
        labels = named(installation, names) if names else f"{selector(installation)},{VARIANT}"
        self._workloads = Informer(kube, WORKLOAD, labels, self._note, timing)
        self._explanations: Explanations = (
            Watched(kube, labels, self._explain, timing) if names else Listed(kube, installation, self._explain)
        )
        self._workloads.start()

    @property
    def is_fresh(self) -> bool:
        return self._workloads.heard_within(self._timing.freshness)

    def covers(self, names: Collection[str]) -> bool:
        return not self.names or self.names.issuperset(names)

    def look(self, variants: Collection[ResourceId]) -> dict[ResourceId, Readiness]:
        self._workloads.check()
        with self._looking:  # one call at a time, so that older knowledge never replaces newer
            now = time.monotonic()
            for variant in self._to_look_at(variants, now):
                self._seen[variant] = self._readiness(variant)
            waiting = (v for v in variants if self._seen[v].state is ReadinessState.WAITING)
            self._explanations.ask(v for v in waiting if now - self._moved[v] > self._timing.patience)
            return {variant: self._seen[variant] for variant in variants}

    def expect(self, variant: ResourceId, deployment: Object) -> None:
        self._workloads.expect(deployment)
        self._note(variant)

    def end(self) -> None:
        self.ended = True
        self._workloads.end()
        self._explanations.end()

    def _note(self, variant: ResourceId) -> None:
        with self._noting:
            self._changed.add(variant)

    def _explain(self, variant: ResourceId) -> None:
        with self._noting:
            self._explained.add(variant)

    def _to_look_at(self, variants: Collection[ResourceId], now: float) -> list[ResourceId]:
        """The variants about which something new is known. Later changes are seen by the next call."""
        with self._noting:
            moved = [v for v in variants if v in self._changed or v not in self._seen]
            self._moved.update(dict.fromkeys(moved, now))
            due = {v for v, moment in self._due.items() if moment <= now}
            known = self._seen.keys() - self._changed - self._explained - due
            chosen = [v for v in variants if v not in known]
            self._changed.difference_update(chosen)
            self._explained.difference_update(chosen)
        for variant in chosen:
            self._seen.pop(variant, None)
        return chosen

    def _readiness(self, variant: ResourceId) -> Readiness:
        workloads = self._workloads.of(variant)
        replica_sets, pods = self._explanations.of(variant)
        seen = readiness(self._kube, Parts(workloads[-1] if workloads else None, replica_sets, pods), self._pulls)
        due = self._pulls.until(pods) if seen.state is ReadinessState.WAITING else None
        if due is None:
            self._due.pop(variant, None)
        else:
            self._due[variant] = due
        return seen
