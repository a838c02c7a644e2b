"""Why a pod does not get ready, in words that name what to mend. Called by `readiness.py`; reads a log at most."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object

LOG_LINES = 20
SERVER = "server"  # the container of the model server
FETCH = "fetch"  # the init container that downloads and verifies the version

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_ENDED = {SERVER: "the model server ended", FETCH: "the version could not be fetched"}
MAX_RESTARTS = 1
"""A container that ends twice before its pod was ever ready does not get ready by waiting."""


@dataclass(frozen=True, slots=True)
class Failure:
    cause: str
    log: tuple[str, ...] = ()


def pod_failure(kube: KubeClient, pod: Object, *, lines: int = LOG_LINES) -> Failure | None:
    """What makes waiting for this pod pointless, with the last lines of the log of what failed."""
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _PULL:
            return Failure(f"image {container['image']} can't be pulled: {waiting.get('message') or reason}")
        if reason in _CONFIG:
            return Failure(f"container {container['name']} can't start: {waiting.get('message') or reason}")
        if _keeps_ending(container):
            return _ended(kube, pod, container, lines)
    return None


def pod_waits_for(pod: Object) -> str:
    """What a pod that may yet get ready waits for."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node takes its pod: {condition.get('message') or condition.get('reason')}"
    for container in _containers(pod):
        state = container.get("state") or {}
        if ended := _failed_end(container):
            return f"{_ENDED.get(container['name'], container['name'] + ' failed')}: {_said(ended)}; it is tried again"
        if "running" in state and not container.get("ready"):
            return "its version is being fetched" if container["name"] == FETCH else "its server is not ready yet"
        if waiting := state.get("waiting"):
            return f"its pod waits: {waiting.get('message') or waiting.get('reason')}"
    return ""


def _containers(pod: Object) -> Iterator[dict[str, JSON]]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _failed_end(container: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
    """How it ended last, if not well."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended: Mapping[str, JSON] | None = state.get("terminated") or last.get("terminated")
    return ended if ended and int(ended.get("exitCode", 0)) != 0 else None


def _keeps_ending(container: Mapping[str, JSON]) -> bool:
    return _failed_end(container) is not None and int(container.get("restartCount", 0)) >= MAX_RESTARTS


def _ended(kube: KubeClient, pod: Object, container: Mapping[str, JSON], lines: int) -> Failure:
    name, metadata = container["name"], pod["metadata"]
    running = bool((container.get("state") or {}).get("running"))
    log = ""
    for previous in (running, not running):  # after a restart the log of the end is the previous one's
        log = log or kube.log(metadata["namespace"], metadata["name"], name, lines=lines, previous=previous)
    cause = _said(_failed_end(container) or {})
    return Failure(f"{_ENDED.get(name, f'container {name} ended')}: {cause}", tuple(log.splitlines()))


def _said(ended: Mapping[str, JSON]) -> str:
    """Its own last words, the last of several lines; else how the kubelet saw it end."""
    if ended.get("reason") == "OOMKilled":
        return "it used more memory than `resources.memory` allows"
    lines = str(ended.get("message") or "").strip().splitlines()
    return _reason(lines[-1].strip()) if lines else f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}"


def _reason(line: str) -> str:
    """What the runtime leaves is {"code", "reason"}; what others leave is taken as it is."""
    try:
        left = json.loads(line)
    except ValueError:
        return line
    return str(left["reason"]) if isinstance(left, dict) and "reason" in left else line
