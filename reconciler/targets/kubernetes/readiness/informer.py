"""The objects of one kind that labels select, kept current by one LIST and then a WATCH.

Used by `watcher.py`. A thread of its own reads the watch. When the connection breaks, the watch resumes at the last
known resourceVersion; when the server no longer knows that version, the thread lists again.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import orjson

from reconciler.model.resources import ResourceId
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.errors import error_of
from reconciler.targets.kubernetes.client.stream import Stream
from reconciler.targets.kubernetes.objects.identity import Object, owner
from reconciler.targets.kubernetes.timing import Timing

DEFAULT_TIMING = Timing()
SHORTEST_WATCH = 1.0  # a shorter one without any event is no watch: a proxy does not stream

Kind = tuple[str, str]
"""apiVersion and kind."""


class Informer:
    """`changed` is called from the informer's thread with each resource whose objects changed."""

    def __init__(
        self,
        kube: KubeClient,
        kind: Kind,
        labels: str,
        changed: Callable[[ResourceId], None],
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._kube = kube
        self._kind = kind
        self._labels = labels
        self._changed = changed
        self._lock = threading.Lock()
        self._objects: dict[ResourceId, dict[str, Object]] = {}  # by owner, then by UID
        self._version = 0  # resourceVersion up to which every change of this kind is known; 0: unknown
        self._heard = 0.0  # when the cluster last answered, by the monotonic clock
        self._looked = threading.Event()  # set once the first LIST has succeeded, failed, or been cancelled
        self._ended = threading.Event()
        self._error: KubeError | None = None
        self._timing = timing
        self._pause = timing.first_pause
        self._stream: Stream | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"watch-{self._kind[1]}", daemon=True).start()

    def end(self) -> None:
        """Ends the watch; `check` raises from then on."""
        self._ended.set()
        if (stream := self._stream) is not None:
            stream.end()

    def check(self) -> None:
        """Waits for the first LIST. KubeError while the cluster can't be listed or watched."""
        self._looked.wait()
        if (error := self._error) is not None:
            raise error

    def heard_within(self, seconds: float) -> bool:
        """Whether the cluster has answered recently. A dead connection is silent, as an idle one is."""
        return time.monotonic() - self._heard < seconds

    def of(self, resource: ResourceId) -> list[Object]:
        """The known objects of a resource, trimmed to metadata, status, and the number of replicas."""
        with self._lock:
            return list(self._objects.get(resource, {}).values())

    def expect(self, written: Object) -> None:
        """Takes over an object that was just written, which the watch or the first LIST may report later."""
        with self._lock:
            if version_of(written) > self._version:
                self._keep(written)

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                try:
                    if not self._version:
                        self._list()
                    while not self._ended.is_set():
                        self._watch()
                except Exception as error:  # report bugs to waiters too
                    self._fail(error)
        finally:
            self._error = KubeError(Reason.OTHER, self._what, "the watch has ended")
            self._looked.set()

    @property
    def _what(self) -> str:
        return f"watch {self._kind[1]}"

    def _fail(self, error: Exception) -> None:
        """Waiters get no error for a watch that is refused or too old, because the thread lists again soon."""
        if not isinstance(error, KubeError):
            error = KubeError(Reason.OTHER, self._what, f"{type(error).__name__}: {error}")
        unreachable = error.reason is Reason.UNREACHABLE
        if unreachable or not self._version:
            self._error = error
        if not unreachable:  # else the watch resumes where it was
            self._version = 0
        self._looked.set()
        self._rest()

    def _rest(self) -> None:
        self._ended.wait(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        self._pause = min(2 * self._pause, self._timing.longest_pause)

    def _list(self) -> None:
        objects, told = self._kube.list_at(*self._kind, labels=self._labels)
        version = int(told)
        with self._lock:
            before = self._objects
            newer = [o for owned in before.values() for o in owned.values() if version_of(o) > version]
            self._objects, self._version = {}, version
            for one in (*objects, *newer):
                self._keep(one)
            touched = before.keys() | self._objects.keys()
        self._hear()
        for resource in touched:
            self._changed(resource)

    def _watch(self) -> None:
        begun = time.monotonic()
        self._stream = stream = self._kube.watch(*self._kind, labels=self._labels, since=self._version)
        if self._ended.is_set():
            stream.end()
        self._hear()
        told = False
        for line in stream:
            self._take(orjson.loads(line))
            self._pause, told = self._timing.first_pause, True
        if not told and time.monotonic() - begun < SHORTEST_WATCH:
            self._rest()

    def _take(self, event: Object) -> None:
        found = {**event["object"], "apiVersion": self._kind[0], "kind": self._kind[1]}
        if event["type"] == "ERROR":
            raise error_of(int(found.get("code") or 500), orjson.dumps(found), self._what)
        resource = owner(found)
        with self._lock:
            self._version = max(self._version, version_of(found))
            if resource is not None and event["type"] == "DELETED":
                self._forget(resource, found)
            elif resource is not None:  # a bookmark has no owner
                self._keep(found)
        self._hear()
        if resource is not None:
            self._changed(resource)

    def _hear(self) -> None:
        self._heard = time.monotonic()
        self._error = None
        self._looked.set()

    def _keep(self, found: Object) -> None:
        resource = owner(found)
        if resource is None:
            return
        known = self._objects.setdefault(resource, {})
        uid = found["metadata"]["uid"]
        if uid not in known or version_of(found) >= version_of(known[uid]):
            known[uid] = trimmed(found)

    def _forget(self, resource: ResourceId, found: Object) -> None:
        """Unless a newer version is known: an object that lost our labels counts as deleted, and may regain them."""
        known = self._objects.get(resource, {})
        uid = found["metadata"]["uid"]
        if uid in known and version_of(found) >= version_of(known[uid]):
            del known[uid]


def version_of(found: Object) -> int:
    """Resource versions of one kind are numbers that grow.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
    """
    return int(found["metadata"].get("resourceVersion") or 0)


def trimmed(found: Object) -> Object:
    """Only the parts from which readiness is derived: whole, a thousand pods would be most of our memory."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    spec = {"replicas": (found.get("spec") or {}).get("replicas")}
    kept = {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "spec": spec}
    return {**kept, "status": found.get("status") or {}}
