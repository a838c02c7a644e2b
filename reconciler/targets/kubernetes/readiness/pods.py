"""Why a pod does not get ready, in words that name what to fix. Called by `rollout.py`; reads at most a log.

One failed pull of an image does not end a rollout, because the next may succeed: a registry was restarted, a limit of
pulls was reached, a tag was just pushed. The kubelet tries again after 10 s, then 20 s, 40 s and so on:
https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.model.resources import JSON
from reconciler.targets.endings import OUT_OF_MEMORY, before_dump, how_it_ended, is_crash
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object

LOG_LINES = 20
DUMP_LINES = 200  # of a log in which the place of a crash is looked for
SERVER = "server"  # the container of the model server
FETCH = "fetch"  # the init container that downloads and verifies the version

PULL_TRIES = 2
"""Failed pulls of an image that end a rollout."""

_PULL_FAILED = "ErrImagePull"
_PULL_WAITS = "ImagePullBackOff"  # it failed, and is tried again later
_NEVER_PULLED = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_ENDED = {SERVER: "the model server ended", FETCH: "the version could not be fetched"}
_SIGNALLED = 128  # exit codes above it stand for a signal
MAX_RESTARTS = 1
"""A container that ends twice before its pod was ever ready will not become ready by waiting."""


@dataclass(frozen=True, slots=True)
class Failure:
    cause: str
    log: tuple[str, ...] = ()


@dataclass(slots=True)
class _Pull:
    since: float  # by the monotonic clock
    reason: str
    tries: int = 1


@dataclass
class Pulls:
    """The failed pulls that were seen of each pod's images. Kept for as long as its pods are watched.

    `seconds`: the longest that an image may fail to be pulled. It counts where not every try is seen, because pods are
    listed now and then.
    """

    seconds: float
    _failing: dict[tuple[str, str], _Pull] = field(default_factory=dict)  # by the pod's UID and the container

    def note(self, pod: Object) -> None:
        """Takes a pod's status as it is now into account."""
        for container in _containers(pod):
            key, reason = _pull_key(pod, container), _waiting(container).get("reason", "")
            if reason not in (_PULL_FAILED, _PULL_WAITS):
                self._failing.pop(key, None)
            elif (pull := self._failing.get(key)) is None:
                self._failing[key] = _Pull(time.monotonic(), reason)
            else:
                pull.tries += reason == _PULL_FAILED and pull.reason == _PULL_WAITS
                pull.reason = reason

    def is_over(self, pod: Object, container: Mapping[str, JSON]) -> bool:
        """Whether waiting for this image is pointless."""
        pull = self._failing.get(_pull_key(pod, container))
        return pull is not None and (pull.tries >= PULL_TRIES or time.monotonic() - pull.since >= self.seconds)

    def until(self, pods: Iterable[Object]) -> float | None:
        """When the patience with the images of these pods ends, by the monotonic clock, though nothing changes."""
        uids = {pod["metadata"]["uid"] for pod in pods}
        return min((pull.since + self.seconds for (uid, _), pull in self._failing.items() if uid in uids), default=None)


def pod_failure(kube: KubeClient, pod: Object, pulls: Pulls | None = None, *, lines: int = LOG_LINES) -> Failure | None:
    """What makes waiting for this pod pointless, with the last lines of the log of what failed. Without `pulls` every
    failed pull counts."""
    if pulls is not None:
        pulls.note(pod)
    for container in _containers(pod):
        waiting = _waiting(container)
        reason = waiting.get("reason", "")
        failed = reason in (_PULL_FAILED, _PULL_WAITS) and (pulls is None or pulls.is_over(pod, container))
        if failed or reason in _NEVER_PULLED:
            return Failure(f"image {container['image']} can't be pulled: {waiting.get('message') or reason}")
        if reason in _CONFIG:
            return Failure(f"container {container['name']} can't start: {waiting.get('message') or reason}")
        if _keeps_ending(container):
            return _ended(kube, pod, container, lines)
    return None


def pod_waits_for(pod: Object) -> str:
    """What a pod waits for that may still become ready."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node takes its pod: {condition.get('message') or condition.get('reason')}"
    for container in _containers(pod):
        state = container.get("state") or {}
        if ended := _failed_end(container):
            return f"{_ENDED.get(container['name'], container['name'] + ' failed')}: {_said(ended)}; it is tried again"
        if "running" in state and not container.get("ready"):
            return "its version is being fetched" if container["name"] == FETCH else "its server is not ready yet"
        waiting = state.get("waiting") or {}
        if waiting.get("reason") in (_PULL_FAILED, _PULL_WAITS):
            said = waiting.get("message") or waiting["reason"]
            return f"image {container['image']} could not be pulled: {said}; it is tried again"
        if waiting:
            return f"its pod waits: {waiting.get('message') or waiting.get('reason')}"
    return ""


def _containers(pod: Object) -> Iterator[dict[str, JSON]]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _waiting(container: Mapping[str, JSON]) -> Mapping[str, JSON]:
    waiting: Mapping[str, JSON] | None = (container.get("state") or {}).get("waiting")
    return waiting or {}


def _pull_key(pod: Object, container: Mapping[str, JSON]) -> tuple[str, str]:
    return pod["metadata"]["uid"], container["name"]


def _failed_end(container: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
    """Its last termination, if that was a failure."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended: Mapping[str, JSON] | None = state.get("terminated") or last.get("terminated")
    return ended if ended and int(ended.get("exitCode", 0)) != 0 else None


def _keeps_ending(container: Mapping[str, JSON]) -> bool:
    return _failed_end(container) is not None and int(container.get("restartCount", 0)) >= MAX_RESTARTS


def _ended(kube: KubeClient, pod: Object, container: Mapping[str, JSON], lines: int) -> Failure:
    name, metadata = container["name"], pod["metadata"]
    end = _failed_end(container) or {}
    crashed = is_crash(int(end.get("exitCode", 0)))
    running = bool((container.get("state") or {}).get("running"))
    log = ""
    for previous in (running, not running):  # after a restart the log of the end is the previous one's
        wanted = max(lines, DUMP_LINES) if crashed else lines
        log = log or kube.log(metadata["namespace"], metadata["name"], name, lines=wanted, previous=previous)
    written = log.splitlines()
    cause = _said(end, written if crashed else ())
    return Failure(f"{_ENDED.get(name, f'container {name} ended')}: {cause}", tuple(before_dump(written)[-lines:]))


def _said(end: Mapping[str, JSON], written: Sequence[str] = ()) -> str:
    """The last line that it left, else how the kubelet saw it end. `written`: its log."""
    if end.get("reason") == "OOMKilled":
        return OUT_OF_MEMORY
    code = int(end.get("exitCode", 0))
    lines = str(end.get("message") or "").strip().splitlines()
    if (reason := _reason(lines)) is not None:
        return reason
    if is_crash(code):
        return how_it_ended(code, written or lines)
    if lines:
        return lines[-1].strip()
    return how_it_ended(code) if code > _SIGNALLED else f"{end.get('reason', 'Error')}, exit code {code}"


def _reason(lines: Sequence[str]) -> str | None:
    """The runtime's own reason, which it leaves as {"code", "reason"}. None if something else was left."""
    try:
        left = json.loads(lines[-1] if lines else "")
    except ValueError:
        return None
    return str(left["reason"]) if isinstance(left, dict) and "reason" in left else None
