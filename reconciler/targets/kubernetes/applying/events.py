"""Events on the objects of a rollout, for `kubectl describe`. Called by `rollout.py`; best effort.

No Event for a first start; one for each later rollout and for each failure.
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import MANAGER, Object
from reconciler.targets.kubernetes.objects.kinds import EVENT
from reconciler.targets.protocol import TargetError
from specs.untrusted import cut, visible

MAX_MESSAGE = 1024  # characters; the API refuses more
ROOM_FOR_CUT = 40  # of the words that say how much is missing


@dataclass(frozen=True, slots=True)
class Events:
    kube: KubeClient

    def started(self, objects: Iterable[Object], variant: str) -> None:
        self._write(objects, "RolloutStarted", f"{variant} starts beside what serves")

    def succeeded(self, objects: Iterable[Object], traffic: str) -> None:
        self._write(objects, "RolloutSucceeded", f"traffic goes to {traffic}")

    def failed(self, objects: Iterable[Object], variant: str, cause: str) -> None:
        self._write(objects, "RolloutFailed", f"{variant} is removed: {cause}", warning=True)

    def _write(self, objects: Iterable[Object], reason: str, message: str, *, warning: bool = False) -> None:
        for one in objects:
            with suppress(TargetError):  # a rollout does not depend on the right to write Events
                self.kube.create(_event(one, reason, message, warning=warning))


def event_message(text: str) -> str:
    """As `kubectl describe` prints it: one line of visible characters that the API server takes."""
    shown = visible(text)
    return shown if len(shown) <= MAX_MESSAGE else cut(shown, MAX_MESSAGE - ROOM_FOR_CUT)


def _event(one: Object, reason: str, message: str, *, warning: bool) -> Object:
    metadata, now = one["metadata"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    involved = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}", "namespace": metadata["namespace"]},
        "involvedObject": {"apiVersion": one["apiVersion"], "kind": one["kind"], **involved},
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": event_message(message),
        "source": {"component": MANAGER, "host": socket.gethostname()},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
