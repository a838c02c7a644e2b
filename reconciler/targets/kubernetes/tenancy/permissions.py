"""Every permission that KubeServe needs in a cluster, and the RBAC manifest that grants them. Pure.

`kubeserve doctor` asks the cluster for exactly these, `kubeserve render --rbac` prints the manifest, and
templates/rbac/kubeserve.yaml is the manifest for a platform.yaml without settings of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.objects.kinds import (
    GATEWAY,
    KINDS,
    LEASE,
    REPLICA_SET,
    ROLE_BINDING,
    WRITE,
    ObjectKind,
)
from reconciler.targets.kubernetes.tenancy.admission import admission_policy
from reconciler.targets.kubernetes.tenancy.objects import PULL_SECRET, STORE_SECRET, WRITER
from specs.models.cluster import StoreAccess
from specs.models.platform import Platform

NAME = "kubeserve"
RBAC = ROLE_BINDING.group

READ = ("list",)
WATCH = ("list", "watch")


class Within(StrEnum):
    """Where a permission has to hold."""

    CLUSTER = "the whole cluster"
    TENANT = "every tenant's namespace"
    HOME = "the namespace of KubeServe itself"


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule of RBAC. `names`: the only objects to which it applies; empty: all."""

    within: Within
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()

    @property
    def rule(self) -> Object:
        named = {"resourceNames": list(self.names)} if self.names else {}
        return {"apiGroups": [self.group], "resources": list(self.resources), **named, "verbs": list(self.verbs)}


@dataclass(frozen=True, slots=True)
class OperatorSecret:
    """A Secret that platform.yaml names: read by its name, never listed."""

    namespace: str
    name: str


LISTED = "What is live is read in one listing a kind, by our own labels."


def permissions(kinds: Iterable[ObjectKind] = KINDS) -> tuple[Permission, ...]:
    """Everything that has to be allowed: for each kind of the table, and beside them."""
    kinds = tuple(kinds)
    return (*_of_the_cluster(), *_listed(kinds), *_written(kinds), *_beside())


def _of_the_cluster() -> Iterator[Permission]:
    """Tenants' namespaces, the way into them, and objects that others create and KubeServe reads."""
    yield Permission(
        Within.CLUSTER, "", ("namespaces",), ("get", "create", "patch", "delete"), "A tenant is a namespace."
    )
    yield Permission(
        Within.CLUSTER,
        RBAC,
        ("rolebindings",),
        ("get", "create", "patch"),
        "KubeServe lets itself into a tenant's namespace.",
        (WRITER,),
    )
    yield Permission(Within.CLUSTER, RBAC, ("clusterroles",), ("bind",), "By this role, and no other.", (WRITER,))
    yield Permission(Within.CLUSTER, "", ("pods",), WATCH, "Why a rollout does not progress.")
    yield Permission(Within.CLUSTER, REPLICA_SET.group, ("replicasets",), WATCH, "Which pods a rollout made.")
    yield Permission(
        Within.CLUSTER, GATEWAY.group, ("gateways",), ("get",), "Whether the Gateway of the routes exists."
    )


def _listed(kinds: Iterable[ObjectKind]) -> Iterator[Permission]:
    plurals: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kind in kinds:
        plurals.setdefault((kind.api.group, WATCH if kind.watched else READ), []).append(kind.plural)
    for (group, verbs), names in plurals.items():
        yield Permission(Within.CLUSTER, group, tuple(names), verbs, LISTED)


def _written(kinds: Iterable[ObjectKind]) -> Iterator[Permission]:
    for kind in kinds:
        if kind.verbs:
            yield Permission(Within.TENANT, kind.api.group, (kind.plural,), kind.verbs, kind.why)


def _beside() -> Iterator[Permission]:
    """What belongs to no entry of the table."""
    yield Permission(
        Within.TENANT,
        REPLICA_SET.group,
        ("replicasets",),
        ("delete",),
        "ReplicaSets that a killed round left without their Deployment.",
    )
    yield Permission(
        Within.TENANT,
        "",
        ("secrets",),
        WRITE,
        "Copies of the operator's Secrets, by these names alone.",
        (STORE_SECRET, PULL_SECRET),
    )
    yield Permission(
        Within.TENANT, "", ("pods/log",), ("get",), "The last lines of a container that failed, and `kubeserve logs`."
    )
    yield Permission(
        Within.TENANT, "", ("events",), ("create",), "Rollouts are recorded on the objects that they touch."
    )
    yield Permission(
        Within.HOME,
        LEASE.group,
        ("leases",),
        ("get", "create", "update"),
        "The Lease that makes a round the only one.",
    )


PERMISSIONS = permissions()


def operator_secrets(platform: Platform) -> tuple[OperatorSecret, ...]:
    """Every Secret that platform.yaml names, by namespace and name."""
    grants = platform.tenants.values()
    accesses: list[StoreAccess | None] = [grant.store_access for grant in grants]
    accesses.append(platform.artifact_store.pod_access)
    named = {access.secret for access in accesses if access and access.secret} | {platform.runtime.pull_secret}
    return tuple(OperatorSecret(*name.split("/")) for name in sorted(filter(None, named)))


def account(platform: Platform) -> tuple[str, str]:
    """Namespace and name of the ServiceAccount that KubeServe works as."""
    namespace, _, name = (platform.kubernetes.service_account or f"{platform.kubernetes.namespace}/{NAME}").partition(
        "/"
    )
    return namespace, name


def manifest(platform: Platform) -> list[Object]:
    """What an administrator applies once, in an order in which it can be applied."""
    namespace, name = account(platform)
    home = platform.kubernetes.namespace
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    mark = NAME if (namespace, name) == (NAME, NAME) else f"{NAME}.{namespace}.{name}"  # apart from other installations
    return [
        *(_object("v1", "Namespace", each) for each in dict.fromkeys((home, namespace))),
        _object("v1", "ServiceAccount", name, namespace),
        _role("ClusterRole", NAME, Within.CLUSTER),
        _binding("ClusterRoleBinding", mark, "ClusterRole", NAME, subject),
        _role("ClusterRole", WRITER, Within.TENANT),
        _role("Role", NAME, Within.HOME, home),
        _binding("RoleBinding", mark, "Role", NAME, subject, home),
        *_secret_roles(f"{mark}-secrets", operator_secrets(platform), subject),
        *admission_policy(mark, namespace, name),
    ]


def _secret_roles(name: str, secrets: Iterable[OperatorSecret], subject: JSON) -> Iterator[Object]:
    """One Role a namespace that holds Secrets of the operator, for reading these by name."""
    found: dict[str, list[str]] = {}
    for secret in secrets:
        found.setdefault(secret.namespace, []).append(secret.name)
    for namespace, names in found.items():
        rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}
        yield {**_object(f"{RBAC}/v1", "Role", name, namespace), "rules": [rule]}
        yield _binding("RoleBinding", name, "Role", name, subject, namespace)


def _role(kind: str, name: str, within: Within, namespace: str = "") -> Object:
    rules = [permission.rule for permission in PERMISSIONS if permission.within is within]
    return {**_object(f"{RBAC}/v1", kind, name, namespace), "rules": rules}


def _binding(kind: str, name: str, role_kind: str, role: str, subject: JSON, namespace: str = "") -> Object:
    reference = {"apiGroup": RBAC, "kind": role_kind, "name": role}
    return {**_object(f"{RBAC}/v1", kind, name, namespace), "roleRef": reference, "subjects": [subject]}


def _object(api_version: str, kind: str, name: str, namespace: str = "") -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
