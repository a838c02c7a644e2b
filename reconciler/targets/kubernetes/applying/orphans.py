"""ReplicaSets without a Deployment: theirs was deleted without its dependents, and the next one, which will take over
them and their pods, does not exist yet. Observing does not see them, because it lists only Deployments.

Called by `apply.py` before the next Deployment is created, and by `removal.py` if there will be none.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object, workload
from reconciler.targets.kubernetes.objects.kinds import REPLICA_SET

ORPHANING = "orphan"
"""The finalizer of an object that is deleted without its dependents."""


def orphans(kube: KubeClient, namespace: str, labels: str) -> list[Object]:
    """`labels`: the selector of one variant."""
    found = kube.list(*REPLICA_SET, labels=labels, namespace=namespace)
    return [one for one in found if not one["metadata"].get("ownerReferences")]


def replicas_of_orphans(kube: KubeClient, namespace: str, labels: str) -> int | None:
    """The number of pods that they should have; None if there are no such ReplicaSets."""
    found = orphans(kube, namespace, labels)
    return sum(int(one["spec"].get("replicas") or 0) for one in found) if found else None


def leaves_orphans(objects: Iterable[Object]) -> bool:
    """Whether a variant's Deployment is being deleted without its dependents."""
    going = workload(objects)
    return going is not None and ORPHANING in (going["metadata"].get("finalizers") or ())
