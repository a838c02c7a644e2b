"""Whether variants are ready, and if not, the cause that matters: from Deployments, ReplicaSets and Pods.

Follows kstatus: the controller has seen this generation, its rollout is finished, the pods are ready.
Called by `target.py` with everything that waits; a handful of LISTs answers for all.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.resources import JSON, ResourceId
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects import VARIANT, Object, annotation, owner, selector
from reconciler.targets.kubernetes.podfailures import pod_failure, pod_waits_for
from reconciler.targets.protocol import Readiness, ReadinessState

REST = 3.0  # times as long as a look took
FEW = 8  # variants, up to which they are listed by name
REVISION = "deployment.kubernetes.io/revision"
DEADLINE = "ProgressDeadlineExceeded"

_GONE = Readiness(ReadinessState.FAILED, "its Deployment is gone")


@dataclass
class _Variant:
    deployment: Object | None = None
    replica_sets: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)

    @property
    def current(self) -> Object | None:
        """The ReplicaSet of the Deployment as it is now; pods of older ones say nothing of it."""
        revision = annotation(self.deployment, REVISION) if self.deployment else ""
        return next((one for one in self.replica_sets if annotation(one, REVISION) == revision), None)

    @property
    def current_pods(self) -> list[Object]:
        current = self.current
        uid = current["metadata"]["uid"] if current else None
        return [pod for pod in self.pods if not pod["metadata"].get("deletionTimestamp") and uid in _owners(pod)]


@dataclass
class Watcher:
    """Looks at what waits, and rests after a look in proportion to it: asked more often, it answers what it saw.

    `look` is called by one thread at a time, `forget` by any.
    """

    kube: KubeClient
    installation: str
    _seen: dict[str, Readiness] = field(default_factory=dict)  # by the last look
    _last: dict[str, Readiness] = field(default_factory=dict)  # of all that was ever waited for
    _rests_until: float = 0.0  # by the monotonic clock

    def look(self, variants: Mapping[str, ResourceId]) -> dict[str, Readiness]:
        """handle -> how it is, or was a moment ago."""
        begun = time.monotonic()
        if begun > self._rests_until or not variants.keys() <= self._seen.keys():
            self._seen = readiness(self.kube, self.installation, variants)
            ended = time.monotonic()
            self._rests_until = ended + REST * (ended - begun)
            self._last.update(self._seen)
        return {handle: self._seen[handle] for handle in variants}

    def forget(self, handle: str) -> Readiness | None:
        """What was seen of it last, told once."""
        return self._last.pop(handle, None)


def readiness(kube: KubeClient, installation: str, variants: Mapping[str, ResourceId]) -> dict[str, Readiness]:
    """handle -> how it is. One LIST of Deployments, and one each of ReplicaSets and Pods where any is not ready."""
    if not variants:
        return {}
    found: dict[ResourceId, _Variant] = {variant: _Variant() for variant in variants.values()}
    for one in kube.list("apps/v1", "Deployment", labels=_selector(installation, found)):
        _of(found, one).deployment = one
    waiting = {v: parts for v, parts in found.items() if parts.deployment and not is_ready(parts.deployment)}
    if waiting:
        labels = _selector(installation, waiting)
        for one in kube.list("apps/v1", "ReplicaSet", labels=labels):
            _of(found, one).replica_sets.append(one)
        for one in kube.list("v1", "Pod", labels=labels):
            _of(found, one).pods.append(one)
    return {handle: _readiness(kube, found[variant]) for handle, variant in variants.items()}


def is_ready(deployment: Object) -> bool:
    """Whether a Deployment's rollout is finished, as kstatus has it; none wanted and none there is finished, too."""
    status: Mapping[str, JSON] = deployment.get("status") or {}
    replicas = deployment["spec"].get("replicas")
    wanted = int(1 if replicas is None else replicas)
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"]["generation"]):
        return False
    counts = [int(status.get(key) or 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")]
    return min(counts) >= wanted and int(status.get("replicas") or 0) <= counts[0]


def _selector(installation: str, variants: Collection[ResourceId]) -> str:
    labels = selector(installation)
    names = sorted({variant.name for variant in variants})
    return f"{labels},{VARIANT} in ({','.join(names)})" if len(names) <= FEW else f"{labels},{VARIANT}"


def _of(found: dict[ResourceId, _Variant], one: Object) -> _Variant:
    resource = owner(one)
    if resource is None:
        raise ValueError("listed by our labels and without them")
    return found.setdefault(resource, _Variant())


def _owners(pod: Object) -> set[str]:
    return {reference["uid"] for reference in pod["metadata"].get("ownerReferences") or ()}


def _readiness(kube: KubeClient, variant: _Variant) -> Readiness:
    deployment = variant.deployment
    if deployment is None or deployment["metadata"].get("deletionTimestamp"):
        return _GONE
    ready = int((deployment.get("status") or {}).get("readyReplicas") or 0)
    if is_ready(deployment):
        return Readiness(ReadinessState.READY, ready=ready)
    for pod in variant.current_pods:
        if (failure := pod_failure(kube, pod)) is not None:
            return Readiness(ReadinessState.FAILED, failure.cause, failure.log, ready)
    if refused := _refused(variant.current):
        return Readiness(ReadinessState.FAILED, refused, ready=ready)
    cause = next(_waits_for(variant), "its pods are being made")
    late = any(condition.get("reason") == DEADLINE for condition in _conditions(deployment))
    return Readiness(ReadinessState.FAILED if late else ReadinessState.WAITING, cause, ready=ready)


def _refused(replica_set: Object | None) -> str:
    """Why the ReplicaSet makes no pod: a quota, Pod Security, a webhook."""
    for condition in _conditions(replica_set or {}):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = str(condition.get("message") or condition.get("reason"))
            what = "the tenant's quota is exceeded" if "exceeded quota" in message else "the cluster refuses its pods"
            return f"{what}: {message}"
    return ""


def _waits_for(variant: _Variant) -> Iterator[str]:
    for pod in variant.current_pods:
        if cause := pod_waits_for(pod):
            yield cause


def _conditions(found: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    conditions: list[dict[str, JSON]] = (found.get("status") or {}).get("conditions") or []
    return conditions
