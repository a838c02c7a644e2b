"""Whether a variant is ready, and if not, the cause that matters, from its Deployment, ReplicaSets and Pods.

Follows kstatus: the controller has seen this generation, its rollout is finished, the pods are ready. Called by
`watcher.py`, which knows these objects; reads at most a log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object, annotation
from reconciler.targets.kubernetes.readiness.pods import Pulls, pod_failure, pod_waits_for
from reconciler.targets.protocol import Readiness, ReadinessState

REVISION = "deployment.kubernetes.io/revision"
DEADLINE = "ProgressDeadlineExceeded"

_GONE = Readiness(ReadinessState.FAILED, "its Deployment is gone")


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects from which a variant's readiness is derived."""

    deployment: Object | None = None
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()

    @property
    def current(self) -> Object | None:
        """The ReplicaSet of the Deployment as it is now; pods of older ReplicaSets don't count.

        A Deployment that was removed and made again starts again at revision 1, beside ReplicaSets of its predecessor.
        """
        if self.deployment is None:
            return None
        uid, revision = self.deployment["metadata"]["uid"], annotation(self.deployment, REVISION)
        own = (one for one in self.replica_sets if uid in _owners(one))
        return next((one for one in own if annotation(one, REVISION) == revision), None)

    @property
    def current_pods(self) -> list[Object]:
        current = self.current
        uid = current["metadata"]["uid"] if current else None
        return [pod for pod in self.pods if not pod["metadata"].get("deletionTimestamp") and uid in _owners(pod)]


def readiness(kube: KubeClient, variant: Parts, pulls: Pulls | None = None) -> Readiness:
    """How it is as far as these objects say. Without `pulls` one failed pull of an image is a failure."""
    deployment = variant.deployment
    if deployment is None or deployment["metadata"].get("deletionTimestamp"):
        return _GONE
    ready = int((deployment.get("status") or {}).get("readyReplicas") or 0)
    if not _is_observed(deployment):  # until then every other field of its status describes the previous generation
        return Readiness(ReadinessState.WAITING, "the cluster has not observed its Deployment yet", ready=ready)
    if _is_finished(deployment):
        return Readiness(ReadinessState.READY, ready=ready)
    for pod in variant.current_pods:
        if (failure := pod_failure(kube, pod, pulls)) is not None:
            return Readiness(ReadinessState.FAILED, failure.cause, failure.log, ready)
    if refused := _refused(variant.current):
        return Readiness(ReadinessState.FAILED, refused, ready=ready)
    cause = next(_waits_for(variant), "its pods are being made")
    return Readiness(ReadinessState.FAILED if _is_late(variant) else ReadinessState.WAITING, cause, ready=ready)


def _is_finished(deployment: Object) -> bool:
    """Whether the observed rollout is finished, by the rules of kstatus. With zero replicas it is finished as well."""
    status: Mapping[str, JSON] = deployment.get("status") or {}
    replicas = deployment["spec"].get("replicas")
    wanted = int(1 if replicas is None else replicas)
    counts = [int(status.get(key) or 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")]
    return min(counts) >= wanted and int(status.get("replicas") or 0) <= counts[0]


def _is_observed(deployment: Object) -> bool:
    """Whether its controller has seen the current generation."""
    observed = (deployment.get("status") or {}).get("observedGeneration")
    return int(observed or 0) >= int(deployment["metadata"]["generation"])


def _owners(found: Object) -> set[str]:
    return {reference["uid"] for reference in found["metadata"].get("ownerReferences") or ()}


def _is_late(variant: Parts) -> bool:
    """Whether the controller has given up on the current ReplicaSet (progressDeadlineSeconds).

    After a return to an earlier ReplicaSet the condition stays until that one makes progress. Its message names the
    ReplicaSet that it is about, or the Deployment if there is none yet
    (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment).
    """
    names = [f'"{one["metadata"]["name"]}"' for one in (variant.deployment, variant.current) if one]
    late = [str(c.get("message")) for c in _conditions(variant.deployment or {}) if c.get("reason") == DEADLINE]
    return any(name in message for name in names for message in late)


def _refused(replica_set: Object | None) -> str:
    """Why the ReplicaSet can't create pods: a quota, Pod Security, a webhook."""
    for condition in _conditions(replica_set or {}):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = str(condition.get("message") or condition.get("reason"))
            _, exceeded, amounts = message.partition("exceeded quota: ")
            if exceeded:  # without the name of the pod, so that all that lack room say the same
                return f"the tenant's quota is exceeded: {amounts}"
            return f"the cluster refuses its pods: {message}"
    return ""


def _waits_for(variant: Parts) -> Iterator[str]:
    for pod in variant.current_pods:
        if cause := pod_waits_for(pod):
            yield cause


def _conditions(found: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    conditions: list[dict[str, JSON]] = (found.get("status") or {}).get("conditions") or []
    return conditions
