"""What a variant's Deployment, ReplicaSets and pods say of it, and which of them speak of something older."""

from __future__ import annotations

from typing import Any, cast

import pytest

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.readiness.rollout import DEADLINE, REVISION, Parts, readiness
from reconciler.targets.protocol import Readiness, ReadinessState

NO_CLUSTER = cast(KubeClient, None)
"""No log is read of what never ran."""


def deployment(*, uid: str = "new", revision: str = "1", observed: int = 1, **status: Any) -> Object:
    metadata = {"name": "churn", "uid": uid, "generation": 1, "annotations": {REVISION: revision}}
    return {"metadata": metadata, "spec": {"replicas": 1}, "status": {"observedGeneration": observed, **status}}


def owned(uid: str, by: str, revision: str = "") -> Object:
    """A ReplicaSet or a pod."""
    metadata: Object = {"name": uid, "uid": uid, "ownerReferences": [{"uid": by}]}
    return {"metadata": {**metadata, "annotations": {REVISION: revision}}}


def pod_without_image(replica_set: str) -> Object:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}, "name": "server", "image": f"{replica_set}:1"}
    return {**owned(f"{replica_set}-pod", replica_set), "status": {"containerStatuses": [waiting]}}


def refusing(replica_set: Object, why: str) -> Object:
    condition = {"type": "ReplicaFailure", "status": "True", "message": why}
    return {**replica_set, "status": {"conditions": [condition]}}


def late(name: str) -> list[Object]:
    message = f'ReplicaSet "{name}" has timed out progressing.'
    return [{"type": "Progressing", "status": "False", "reason": DEADLINE, "message": message}]


def told(parts: Parts) -> Readiness:
    return readiness(NO_CLUSTER, parts)


OLD = owned("old-1", "old", "1")
NEW = owned("new-1", "new", "1")


def test_the_pods_of_a_predecessor_with_the_same_revision_say_nothing() -> None:
    seen = told(Parts(deployment(), [OLD, NEW], [pod_without_image("old-1")]))
    assert (seen.state, seen.cause) == (ReadinessState.WAITING, "its pods are being made")
    seen = told(Parts(deployment(), [OLD, NEW], [pod_without_image("old-1"), pod_without_image("new-1")]))
    assert (seen.state, seen.cause.split()[1]) == (ReadinessState.FAILED, "new-1:1")


def test_what_refuses_a_predecessors_pods_says_nothing() -> None:
    quota = refusing(OLD, "exceeded quota: kubeserve")
    assert told(Parts(deployment(), [quota, NEW], [])).state is ReadinessState.WAITING
    assert told(Parts(deployment(uid="old"), [quota, NEW], [])).state is ReadinessState.FAILED


def test_variants_that_exceed_a_quota_alike_say_the_same_whatever_their_pods_are_called() -> None:
    why = 'pods "{}" is forbidden: exceeded quota: kubeserve, requested: pods=1, used: pods=5, limited: pods=5'
    causes = {told(Parts(deployment(), [refusing(NEW, why.format(name))])).cause for name in ("a-1", "b-2")}
    assert causes == {"the tenant's quota is exceeded: kubeserve, requested: pods=1, used: pods=5, limited: pods=5"}


@pytest.mark.parametrize(
    "parts",
    [
        Parts(deployment(observed=0), [NEW], [pod_without_image("new-1")]),
        Parts(deployment(observed=0), [refusing(NEW, "exceeded quota")]),
        Parts(deployment(observed=0, conditions=late("new-1")), [NEW]),
        Parts(deployment(observed=0, replicas=1, updatedReplicas=1, readyReplicas=1, availableReplicas=1), [NEW]),
    ],
)
def test_nothing_counts_before_the_controller_has_seen_what_is_asked_for(parts: Parts) -> None:
    seen = told(parts)
    assert (seen.state, seen.cause) == (ReadinessState.WAITING, "the cluster has not observed its Deployment yet")


def test_a_deadline_counts_for_the_replica_set_that_it_names() -> None:
    broken = owned("new-2", "new", "2")
    back = deployment(revision="3", conditions=late("new-2"))
    assert told(Parts(back, [broken, owned("new-1", "new", "3")])).state is ReadinessState.WAITING
    assert told(Parts(deployment(revision="2", conditions=late("new-2")), [broken])).state is ReadinessState.FAILED


def test_a_deployment_whose_replica_set_can_not_be_made_is_late_by_its_own_name() -> None:
    message = 'Deployment "churn" has timed out progressing.'
    conditions = [{"type": "Progressing", "status": "False", "reason": DEADLINE, "message": message}]
    assert told(Parts(deployment(conditions=conditions))).state is ReadinessState.FAILED
