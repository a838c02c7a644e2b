"""ReplicaSets that lost their Deployment: it was removed alone, and the one that takes them and their pods over is not
there yet. No listing of ours shows them, as only Deployments are listed.

Called by `apply.py` before that one is made, and by `removal.py` where nobody wants it any more.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object, workload
from reconciler.targets.kubernetes.objects.kinds import REPLICA_SET

ORPHANING = "orphan"
"""The finalizer of what goes without what it owns."""


def orphans(kube: KubeClient, namespace: str, labels: str) -> list[Object]:
    """`labels`: the selector of one variant."""
    found = kube.list(*REPLICA_SET, labels=labels, namespace=namespace)
    return [one for one in found if not one["metadata"].get("ownerReferences")]


def replicas_of_orphans(kube: KubeClient, namespace: str, labels: str) -> int | None:
    """How many pods they are to have; None where there are none of them."""
    found = orphans(kube, namespace, labels)
    return sum(int(one["spec"].get("replicas") or 0) for one in found) if found else None


def leaves_orphans(objects: Iterable[Object]) -> bool:
    """Whether a variant's Deployment is about to go alone."""
    going = workload(objects)
    return going is not None and ORPHANING in (going["metadata"].get("finalizers") or ())
