"""Whether the cluster allows what KubeServe does: asks the cluster about each entry of the list of permissions.

Called by `checks.py` if the cluster is reachable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from reconciler.doctor.cluster import HOW_TO_ALLOW, Cluster, manifest_file
from reconciler.doctor.findings import Finding, ok, problem
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import selector
from reconciler.targets.kubernetes.objects.kinds import NAMESPACE
from reconciler.targets.kubernetes.tenancy.permissions import PERMISSIONS, Permission, Within, operator_secrets
from specs.models.platform import Platform

ASKING_THREADS = 8
MAX_TENANTS = 3
"""Of tenants whose namespaces are asked about, because all were given the same rights."""
SHOWN = 8


class Right(NamedTuple):
    """One verb on one kind of object. Without a namespace: everywhere."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {what}{named}" + (f" in {self.namespace}" if self.namespace else " in all namespaces")


def permissions(cluster: Cluster) -> Iterator[Finding]:
    rights = list(dict.fromkeys(_rights(cluster.platform, _tenants(cluster))))
    missing = _missing(cluster.kube, rights)
    if not missing:
        yield ok(f"All {len(rights)} permissions are granted")
        return
    more = f", and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    yield problem(
        f"{len(missing)} of {len(rights)} permissions are missing",
        f"The cluster does not allow: {', '.join(map(str, missing[:SHOWN]))}{more}.",
        f"{HOW_TO_ALLOW} (for a platform that says nothing of its own that is {manifest_file()}).{_as_whom(cluster)}",
    )


def _rights(platform: Platform, tenants: Iterable[str]) -> Iterator[Right]:
    """Without `serviceAccount` no RoleBinding grants rights in each namespace, so they are needed in all namespaces."""
    everywhere = platform.kubernetes.service_account is None
    places = {
        Within.CLUSTER: [""],
        Within.TENANT: [""] if everywhere else list(tenants),
        Within.HOME: [platform.kubernetes.namespace],
    }
    for permission in PERMISSIONS:
        if permission.within is Within.CLUSTER and permission.names and everywhere:
            continue
        for namespace in places[permission.within]:
            yield from _of(permission, namespace)
    for secret in operator_secrets(platform):
        yield Right("get", "", "secrets", secret.namespace, secret.name)


def _of(permission: Permission, namespace: str) -> Iterator[Right]:
    for resource in permission.resources:
        for verb in permission.verbs:
            for name in permission.names or ("",):
                yield Right(verb, permission.group, resource, namespace, name)


def _tenants(cluster: Cluster) -> list[str]:
    if not cluster.kube.allows("list", "", "namespaces"):
        return []
    found = cluster.kube.list(*NAMESPACE, labels=selector(cluster.platform.installation))
    return sorted(one["metadata"]["name"] for one in found)[:MAX_TENANTS]


def _missing(kube: KubeClient, rights: list[Right]) -> list[Right]:
    def is_allowed(right: Right) -> bool:
        return kube.allows(right.verb, right.group, right.resource, namespace=right.namespace, name=right.name)

    with ThreadPoolExecutor(ASKING_THREADS, thread_name_prefix="asking") as pool:
        return [right for right, allowed in zip(rights, pool.map(is_allowed, rights), strict=True) if not allowed]


def _as_whom(cluster: Cluster) -> str:
    if cluster.platform.kubernetes.service_account is not None:
        return ""
    return (
        " platform.yaml names no `kubernetes: {serviceAccount: …}`, so the current identity needs the right to write "
        "in all namespaces. With one, KubeServe needs it only in those of tenants."
    )
