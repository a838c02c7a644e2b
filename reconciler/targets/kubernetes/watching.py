"""Keeps an eye on the variants that a round waits for: watches tell what changes, and only that is looked at again.

Called by `target.py`. A few variants are watched with all that explains them. Of many only the Deployments are; what
explains those that stand still is listed now and then: a cold start of a thousand has better things to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.resources import ResourceId
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.informer import Informer
from reconciler.targets.kubernetes.objects import VARIANT, Object, owner, selector
from reconciler.targets.kubernetes.readiness import Parts, readiness
from reconciler.targets.protocol import Readiness, ReadinessState

FEW = 8  # variants
PATIENCE_SECONDS = 3.0  # that one of many may stand still before its pods are looked at
REST = 10.0  # times as long as such a look took
NAMES = 100  # of variants that one listing asks for

WORKLOADS = ("apps/v1", "Deployment")
EXPLAINING = (("apps/v1", "ReplicaSet"), ("v1", "Pod"))

Explaining = tuple[Sequence[Object], Sequence[Object]]
"""ReplicaSets and Pods of one variant."""


@dataclass
class Watcher:
    """Safe for threads."""

    kube: KubeClient
    installation: str
    _watch: _Watch | None = None
    _last: dict[ResourceId, Readiness] = field(default_factory=dict)  # of all that was ever waited for
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, variants: Mapping[str, ResourceId]) -> dict[str, Readiness]:
        """handle -> how it is. KubeError while the cluster does not tell."""
        seen = self._covering(variants.values()).look(variants.values())
        self._last.update(seen)
        return {handle: seen[variant] for handle, variant in variants.items()}

    def expect(self, variant: ResourceId, deployment: Object) -> None:
        """Its Deployment was just written like this."""
        with self._lock:
            if self._watch is not None:
                self._watch.expect(variant, deployment)

    def forget(self, variant: ResourceId) -> Readiness | None:
        """What was seen of it last, told once."""
        return self._last.pop(variant, None)

    def close(self) -> None:
        with self._lock:
            if self._watch is not None:
                self._watch.end()
                self._watch = None

    def _covering(self, variants: Collection[ResourceId]) -> _Watch:
        """The watch that there is, if it tells of all of these; else one of these too, or of all there are."""
        names = {variant.name for variant in variants}
        with self._lock:
            if self._watch is None or not self._watch.covers(names):
                if self._watch is not None:
                    self._watch.end()
                    names |= self._watch.names
                self._watch = _Watch(self.kube, self.installation, names if len(names) <= FEW else ())
            return self._watch


class _Watch:
    """Of the named variants; of all where none is named."""

    def __init__(self, kube: KubeClient, installation: str, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self._kube = kube
        self._noting = threading.Lock()
        self._looking = threading.Lock()
        self._changed: set[ResourceId] = set()
        self._moved: dict[ResourceId, float] = {}  # when its Deployment changed last, by the monotonic clock
        self._seen: dict[ResourceId, Readiness] = {}
        labels = _named(installation, names) if names else f"{selector(installation)},{VARIANT}"
        self._workloads = Informer(kube, WORKLOADS, labels, self._note)
        self._explaining = _Watched(kube, labels, self._note) if names else _Listed(kube, installation)
        self._workloads.start()

    def covers(self, names: Collection[str]) -> bool:
        return not self.names or self.names.issuperset(names)

    def look(self, variants: Collection[ResourceId]) -> dict[ResourceId, Readiness]:
        self._workloads.check()
        with self._looking:  # one look at a time: an older one never replaces a newer one
            now = time.monotonic()
            for variant in self._take_changed(variants):
                self._moved[variant] = now
                self._seen[variant] = self._readiness(variant)
            for variant in self._explaining.refreshed(self._standing(variants, now)):
                self._seen[variant] = self._readiness(variant)
            return {variant: self._seen[variant] for variant in variants}

    def expect(self, variant: ResourceId, deployment: Object) -> None:
        self._workloads.expect(deployment)
        self._note(variant)

    def end(self) -> None:
        self._workloads.end()
        self._explaining.end()

    def _note(self, variant: ResourceId) -> None:
        with self._noting:
            self._changed.add(variant)

    def _take_changed(self, variants: Collection[ResourceId]) -> list[ResourceId]:
        """Those that have to be looked at. What changes from here on is looked at the next time."""
        with self._noting:
            chosen = [v for v in variants if v in self._changed or v not in self._seen]
            self._changed.difference_update(chosen)
            for variant in chosen:
                self._seen.pop(variant, None)
            return chosen

    def _standing(self, variants: Collection[ResourceId], now: float) -> list[ResourceId]:
        waiting = (v for v in variants if self._seen[v].state is ReadinessState.WAITING)
        return [v for v in waiting if now - self._moved[v] > PATIENCE_SECONDS]

    def _readiness(self, variant: ResourceId) -> Readiness:
        workloads = self._workloads.of(variant)
        replica_sets, pods = self._explaining.of(variant)
        return readiness(self._kube, Parts(workloads[-1] if workloads else None, replica_sets, pods))


class _Watched:
    """ReplicaSets and Pods, as watches tell of them."""

    def __init__(self, kube: KubeClient, labels: str, changed: Callable[[ResourceId], None]) -> None:
        self._informers = [Informer(kube, kind, labels, changed) for kind in EXPLAINING]
        for informer in self._informers:
            informer.start()

    def of(self, variant: ResourceId) -> Explaining:
        for informer in self._informers:
            informer.check()
        replica_sets, pods = (informer.of(variant) for informer in self._informers)
        return replica_sets, pods

    def refreshed(self, standing: Collection[ResourceId]) -> Collection[ResourceId]:
        """Nothing: who changed is told at once."""
        del standing
        return ()

    def end(self) -> None:
        for informer in self._informers:
            informer.end()


class _Listed:
    """ReplicaSets and Pods of what stands still, listed with a rest in proportion to what that costs."""

    def __init__(self, kube: KubeClient, installation: str) -> None:
        self._kube = kube
        self._installation = installation
        self._rests_until = 0.0
        self._found: dict[ResourceId, tuple[list[Object], list[Object]]] = {}

    def of(self, variant: ResourceId) -> Explaining:
        return self._found.get(variant, ((), ()))

    def refreshed(self, standing: Sequence[ResourceId]) -> Collection[ResourceId]:
        """Lists what explains these, unless it rests. Answers of whom something new is known."""
        begun = time.monotonic()
        if not standing or begun < self._rests_until:
            return ()
        for variant in standing:
            self._found[variant] = ([], [])
        for first in range(0, len(standing), NAMES):
            labels = _named(self._installation, {variant.name for variant in standing[first : first + NAMES]})
            for place, kind in enumerate(EXPLAINING):
                for one in self._kube.list(*kind, labels=labels):
                    if (of := owner(one)) is not None and of in self._found:
                        self._found[of][place].append(one)
        ended = time.monotonic()
        self._rests_until = ended + REST * (ended - begun)
        return standing

    def end(self) -> None:
        """Nothing runs."""


def _named(installation: str, names: Collection[str]) -> str:
    return f"{selector(installation)},{VARIANT} in ({','.join(sorted(names))})"
