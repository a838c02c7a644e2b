"""The objects of one kind that labels select, kept current: one LIST, then a WATCH that goes on from where it stood.

Used by `watching.py`. A thread of its own reads the watch and begins anew when it breaks or has expired.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import orjson

from reconciler.resources import ResourceId
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.errors import error_of
from reconciler.targets.kubernetes.client.stream import Stream
from reconciler.targets.kubernetes.objects import Object, owner

FIRST_PAUSE = 0.5  # seconds, doubled up to the longest, before a watch that broke is begun anew
LONGEST_PAUSE = 8.0

Kind = tuple[str, str]
"""apiVersion and kind."""


class Informer:
    """`changed` is called, from the informer's thread, with whose objects are other than before."""

    def __init__(self, kube: KubeClient, kind: Kind, labels: str, changed: Callable[[ResourceId], None]) -> None:
        self._kube = kube
        self._kind = kind
        self._labels = labels
        self._changed = changed
        self._lock = threading.Lock()
        self._objects: dict[ResourceId, dict[str, Object]] = {}  # by owner, then by UID
        self._version = 0  # of the cluster, up to which every change of this kind is known
        self._looked = threading.Event()  # the first LIST has succeeded or failed
        self._ended = threading.Event()
        self._error: KubeError | None = None
        self._stream: Stream | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"watch-{self._kind[1]}", daemon=True).start()

    def end(self) -> None:
        self._ended.set()
        if (stream := self._stream) is not None:
            stream.end()

    def check(self) -> None:
        """Returns once there is something to tell. KubeError while the cluster tells nothing new."""
        self._looked.wait()
        if (error := self._error) is not None:
            raise error

    def of(self, resource: ResourceId) -> list[Object]:
        """What it owns, as far as is known: metadata, status, and of the spec the number of replicas."""
        with self._lock:
            return list(self._objects.get(resource, {}).values())

    def expect(self, written: Object) -> None:
        """What was just written is known from now on, though the watch may tell of it a moment later."""
        with self._lock:
            if self._looked.is_set() and _version(written) > self._version:
                self._keep(written)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._ended.is_set():
            try:
                self._list()
                pause = FIRST_PAUSE
                while not self._ended.is_set():
                    self._watch()
            except Exception as error:  # of a bug, too, who waits is told
                self._error = _told(error, self._kind[1])
                self._looked.set()
                self._ended.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(2 * pause, LONGEST_PAUSE)

    def _list(self) -> None:
        objects, version = self._kube.list_at(*self._kind, labels=self._labels)
        with self._lock:
            before = self._objects
            newer = [o for owned in before.values() for o in owned.values() if _version(o) > version]
            self._objects, self._version = {}, version
            for one in (*objects, *newer):
                self._keep(one)
            touched = before.keys() | self._objects.keys()
        self._error = None
        self._looked.set()
        for resource in touched:
            self._changed(resource)

    def _watch(self) -> None:
        self._stream = stream = self._kube.watch(*self._kind, labels=self._labels, since=self._version)
        if self._ended.is_set():
            stream.end()
        for line in stream:
            event = orjson.loads(line)
            found = {**event["object"], "apiVersion": self._kind[0], "kind": self._kind[1]}
            if event["type"] == "ERROR":
                raise error_of(int(found.get("code") or 500), orjson.dumps(found), f"watch {self._kind[1]}")
            resource = owner(found)
            with self._lock:
                self._version = max(self._version, _version(found))
                if resource is not None and event["type"] == "DELETED":
                    self._objects.get(resource, {}).pop(found["metadata"]["uid"], None)
                elif resource is not None:  # a bookmark has no owner
                    self._keep(found)
            if resource is not None:
                self._changed(resource)

    def _keep(self, found: Object) -> None:
        resource = owner(found)
        if resource is None:
            return
        known = self._objects.setdefault(resource, {})
        uid = found["metadata"]["uid"]
        if uid not in known or _version(found) >= _version(known[uid]):
            known[uid] = _trimmed(found)


def _told(error: Exception, kind: str) -> KubeError | None:
    """None for a watch that is only too old, and begun anew."""
    if not isinstance(error, KubeError):
        return KubeError(Reason.OTHER, f"watch {kind}", f"{type(error).__name__}: {error}")
    return None if error.reason is Reason.EXPIRED else error


def _version(found: Object) -> int:
    """Resource versions of one kind are numbers that grow.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
    """
    return int(found["metadata"].get("resourceVersion") or 0)


def _trimmed(found: Object) -> Object:
    """What readiness is told by; the rest of a thousand pods would be most of our memory."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    spec = {"replicas": (found.get("spec") or {}).get("replicas")}
    kept = {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "spec": spec}
    return {**kept, "status": found.get("status") or {}}
