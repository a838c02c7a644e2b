"""Whether a variant is ready, and if not, the cause that matters: from its Deployment, ReplicaSets and Pods.

Follows kstatus: the controller has seen this generation, its rollout is finished, the pods are ready. Called by
`watching.py`, which knows these objects; reads a log at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.resources import JSON
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects import Object, annotation
from reconciler.targets.kubernetes.podfailures import pod_failure, pod_waits_for
from reconciler.targets.protocol import Readiness, ReadinessState

REVISION = "deployment.kubernetes.io/revision"
DEADLINE = "ProgressDeadlineExceeded"

_GONE = Readiness(ReadinessState.FAILED, "its Deployment is gone")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a variant is told by."""

    deployment: Object | None = None
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()

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


def readiness(kube: KubeClient, variant: Parts) -> Readiness:
    """How it is as far as these tell."""
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


def is_ready(deployment: Object) -> bool:
    """Whether a Deployment's rollout is finished, as kstatus has it; none wanted and none there is finished, too."""
    status: Mapping[str, JSON] = deployment.get("status") or {}
    replicas = deployment["spec"].get("replicas")
    wanted = int(1 if replicas is None else replicas)
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"]["generation"]):
        return False
    counts = [int(status.get(key) or 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")]
    return min(counts) >= wanted and int(status.get("replicas") or 0) <= counts[0]


def _owners(pod: Object) -> set[str]:
    return {reference["uid"] for reference in pod["metadata"].get("ownerReferences") or ()}


def _refused(replica_set: Object | None) -> str:
    """Why the ReplicaSet makes no pod: a quota, Pod Security, a webhook."""
    for condition in _conditions(replica_set or {}):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = str(condition.get("message") or condition.get("reason"))
            what = "the tenant's quota is exceeded" if "exceeded quota" in message else "the cluster refuses its pods"
            return f"{what}: {message}"
    return ""


def _waits_for(variant: Parts) -> Iterator[str]:
    for pod in variant.current_pods:
        if cause := pod_waits_for(pod):
            yield cause


def _conditions(found: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    conditions: list[dict[str, JSON]] = (found.get("status") or {}).get("conditions") or []
    return conditions
