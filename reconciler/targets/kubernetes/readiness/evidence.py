"""What explains why a variant is not ready: its ReplicaSets and Pods, watched or listed now and then.

Built by `watcher.py`: of a few variants both are watched. Of many, those of the variants that stand still are listed by
a thread of its own: a cold start of a thousand has better things to do, and nobody waits for an explanation.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from reconciler.model.resources import ResourceId
from reconciler.targets.kubernetes.client import KubeClient, KubeError
from reconciler.targets.kubernetes.objects.identity import VARIANT, Object, owner, selector
from reconciler.targets.kubernetes.objects.kinds import POD, REPLICA_SET
from reconciler.targets.kubernetes.readiness.informer import Informer, trimmed
from reconciler.targets.kubernetes.timing import Timing

KINDS = (REPLICA_SET, POD)
REST = 20.0  # times as long as a listing took
SHORTEST_REST, LONGEST_REST = 2.0, 10.0  # seconds
NAMES = 100  # of variants that one listing asks for

Changed = Callable[[ResourceId], None]
Found = tuple[Sequence[Object], Sequence[Object]]
"""ReplicaSets and Pods of one variant."""


class Explanations(Protocol):
    def of(self, variant: ResourceId) -> Found:
        """What is known by now; perhaps nothing."""

    def ask(self, standing: Iterable[ResourceId]) -> None:
        """These stand still: whom it is told of something new is called `changed` with."""

    def end(self) -> None: ...


class Watched:
    """ReplicaSets and Pods, as watches tell of them."""

    def __init__(self, kube: KubeClient, labels: str, changed: Changed, timing: Timing) -> None:
        self._informers = [Informer(kube, kind, labels, changed, timing) for kind in KINDS]
        for informer in self._informers:
            informer.start()

    def of(self, variant: ResourceId) -> Found:
        found = [self._known(informer, variant) for informer in self._informers]
        return found[0], found[1]

    def ask(self, standing: Iterable[ResourceId]) -> None:
        """Who changed is told at once."""
        del standing

    def end(self) -> None:
        for informer in self._informers:
            informer.end()

    @staticmethod
    def _known(informer: Informer, variant: ResourceId) -> list[Object]:
        with suppress(KubeError):  # whoever is ready needs no explanation
            informer.check()
        return informer.of(variant)


class Listed:
    """ReplicaSets and Pods of what stands still, listed with a rest in proportion to what that costs."""

    def __init__(self, kube: KubeClient, installation: str, changed: Changed) -> None:
        self._kube = kube
        self._installation = installation
        self._changed = changed
        self._lock = threading.Lock()
        self._standing: list[ResourceId] = []
        self._listed: dict[ResourceId, float] = {}  # when, by the monotonic clock
        self._found: dict[ResourceId, Found] = {}
        self._asked = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="explaining", daemon=True).start()

    def of(self, variant: ResourceId) -> Found:
        return self._found.get(variant, ((), ()))

    def ask(self, standing: Iterable[ResourceId]) -> None:
        with self._lock:
            self._standing = list(standing)
            wanted = bool(self._standing)
        if wanted:
            self._asked.set()

    def end(self) -> None:
        self._ended.set()
        self._asked.set()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            if self._ended.is_set():
                return
            self._asked.clear()
            begun = time.monotonic()
            self._list(self._next())
            took = time.monotonic() - begun
            self._ended.wait(min(max(REST * took, SHORTEST_REST), LONGEST_REST))

    def _next(self) -> list[ResourceId]:
        """Who was never explained, then who was the longest ago: so many as one listing asks for."""
        with self._lock:
            return sorted(self._standing, key=lambda variant: self._listed.get(variant, 0.0))[:NAMES]

    def _list(self, variants: Collection[ResourceId]) -> None:
        found: dict[ResourceId, tuple[list[Object], list[Object]]] = {variant: ([], []) for variant in variants}
        labels = named(self._installation, {variant.name for variant in variants})
        try:
            for place, kind in enumerate(KINDS):
                for one in self._kube.list(*kind, labels=labels) if variants else ():
                    if (of := owner(one)) is not None and of in found:
                        found[of][place].append(trimmed(one))
        except KubeError:  # it is asked for again
            return
        now = time.monotonic()
        for variant, parts in found.items():
            self._listed[variant] = now
            self._found[variant] = parts
            self._changed(variant)


def named(installation: str, names: Collection[str]) -> str:
    """The selector of these variants."""
    return f"{selector(installation)},{VARIANT} in ({','.join(sorted(names))})"
