"""ReplicaSets and Pods, which explain why a variant is not ready: watched, or listed from time to time.

Made by `watcher.py`. For a few variants both kinds are watched. For many, a thread of its own lists those of stalled
variants only, so that a cold start of a thousand variants does not spend its time on explanations.
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
REST = 20.0  # pause between listings, as a multiple of the time that one took
SHORTEST_REST, LONGEST_REST = 2.0, 10.0  # seconds
NAMES = 100  # at most, of variants in the selector of one listing

Changed = Callable[[ResourceId], None]
Found = tuple[Sequence[Object], Sequence[Object]]
"""ReplicaSets and Pods of one variant."""


class Explanations(Protocol):
    def of(self, variant: ResourceId) -> Found:
        """What is known so far, which may be nothing."""

    def ask(self, standing: Iterable[ResourceId]) -> None:
        """Marks variants as stalled. `changed` is called for each one about which something new is learned."""

    def end(self) -> None: ...


class Watched:
    """ReplicaSets and Pods that are watched."""

    def __init__(self, kube: KubeClient, labels: str, changed: Changed, timing: Timing) -> None:
        self._informers = [Informer(kube, kind, labels, changed, timing) for kind in KINDS]
        for informer in self._informers:
            informer.start()

    def of(self, variant: ResourceId) -> Found:
        found = [self._known(informer, variant) for informer in self._informers]
        return found[0], found[1]

    def ask(self, standing: Iterable[ResourceId]) -> None:
        """Does nothing, because watches report each change at once."""
        del standing

    def end(self) -> None:
        for informer in self._informers:
            informer.end()

    @staticmethod
    def _known(informer: Informer, variant: ResourceId) -> list[Object]:
        with suppress(KubeError):  # a variant that is ready needs no explanation
            informer.check()
        return informer.of(variant)


class Listed:
    """Lists ReplicaSets and Pods of stalled variants, pausing between listings in proportion to how long one took."""

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
        """At most as many as one listing asks for: first those never listed, then those listed the longest ago."""
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
        except KubeError:  # the variants are asked for again
            return
        now = time.monotonic()
        for variant, parts in found.items():
            self._listed[variant] = now
            self._found[variant] = parts
            self._changed(variant)


def named(installation: str, names: Collection[str]) -> str:
    """The selector of these variants."""
    return f"{selector(installation)},{VARIANT} in ({','.join(sorted(names))})"
