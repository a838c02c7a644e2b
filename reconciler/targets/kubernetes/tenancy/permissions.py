"""The one list of what KubeServe has to be allowed in a cluster, and the RBAC manifest that says so. Pure.

`kubeserve doctor` asks the cluster for exactly these, `kubeserve render --rbac` prints the manifest, and
templates/rbac/kubeserve.yaml is the manifest of a platform that says nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.tenancy.admission import fence
from reconciler.targets.kubernetes.tenancy.objects import PULL_SECRET, STORE_SECRET, WRITER
from specs.models.cluster import StoreAccess
from specs.models.platform import Platform, S3Store

NAME = "kubeserve"
RBAC = "rbac.authorization.k8s.io"

READ = ("list",)
WATCH = ("list", "watch")
WRITE = ("get", "create", "patch", "delete")  # server-side apply of what is new needs both create and patch


class Within(StrEnum):
    """Where a permission has to hold."""

    CLUSTER = "the whole cluster"
    TENANT = "every tenant's namespace"
    HOME = "the namespace of KubeServe itself"


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule of RBAC. `names`: of the only objects that it is about; none: of all."""

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


PERMISSIONS = (
    Permission(
        Within.CLUSTER,
        "",
        ("namespaces",),
        ("get", "list", "create", "patch", "delete"),
        "A tenant is a namespace.",
    ),
    Permission(
        Within.CLUSTER,
        "",
        ("resourcequotas", "limitranges", "serviceaccounts", "services"),
        READ,
        "One listing a kind, by our own labels, tells what is live.",
    ),
    Permission(Within.CLUSTER, "", ("pods",), WATCH, "How a rollout goes on, and why it does not."),
    Permission(Within.CLUSTER, "apps", ("deployments", "replicasets"), WATCH, "The same."),
    Permission(Within.CLUSTER, "networking.k8s.io", ("networkpolicies", "ingresses"), READ, "The same."),
    Permission(Within.CLUSTER, "autoscaling", ("horizontalpodautoscalers",), READ, "The same."),
    Permission(Within.CLUSTER, "policy", ("poddisruptionbudgets",), READ, "The same."),
    Permission(Within.CLUSTER, "gateway.networking.k8s.io", ("httproutes",), READ, "The same."),
    Permission(Within.CLUSTER, "monitoring.coreos.com", ("servicemonitors",), READ, "The same."),
    Permission(
        Within.CLUSTER,
        "gateway.networking.k8s.io",
        ("gateways",),
        ("get",),
        "`kubeserve doctor` looks whether the Gateway is there.",
    ),
    Permission(
        Within.CLUSTER, RBAC, ("rolebindings",), READ, "The right to write in a tenant's namespace is live, too."
    ),
    Permission(
        Within.CLUSTER,
        RBAC,
        ("rolebindings",),
        ("get", "create", "patch"),
        "KubeServe lets itself into a tenant's namespace.",
        (WRITER,),
    ),
    Permission(Within.CLUSTER, RBAC, ("clusterroles",), ("bind",), "By this role, and no other.", (WRITER,)),
    Permission(
        Within.TENANT,
        "",
        ("resourcequotas", "limitranges", "serviceaccounts", "services"),
        WRITE,
        "A tenant's limits and identity, and the Services of what it deploys.",
    ),
    Permission(Within.TENANT, "networking.k8s.io", ("networkpolicies", "ingresses"), WRITE, "What reaches what."),
    Permission(Within.TENANT, "apps", ("deployments",), WRITE, "Variants."),
    Permission(
        Within.TENANT,
        "apps",
        ("replicasets",),
        ("delete",),
        "Those that lost their Deployment in the midst of a round.",
    ),
    Permission(Within.TENANT, "autoscaling", ("horizontalpodautoscalers",), WRITE, "Their number of replicas."),
    Permission(Within.TENANT, "policy", ("poddisruptionbudgets",), WRITE, "How many may be away at once."),
    Permission(Within.TENANT, "gateway.networking.k8s.io", ("httproutes",), WRITE, "Traffic, by weights."),
    Permission(Within.TENANT, "monitoring.coreos.com", ("servicemonitors",), WRITE, "Metrics."),
    Permission(
        Within.TENANT,
        "",
        ("secrets",),
        WRITE,
        "Copies of the operator's Secrets, by these names alone.",
        (STORE_SECRET, PULL_SECRET),
    ),
    Permission(Within.TENANT, "", ("pods/log",), ("get",), "The last lines of what failed, and `kubeserve logs`."),
    Permission(Within.TENANT, "", ("events",), ("create",), "Rollouts are told on the objects that they touch."),
    Permission(
        Within.HOME,
        "coordination.k8s.io",
        ("leases",),
        ("get", "create", "update"),
        "The Lease that makes a round the only one.",
    ),
)


def operator_secrets(platform: Platform) -> tuple[OperatorSecret, ...]:
    """Every Secret that platform.yaml names, by namespace and name."""
    grants = platform.tenants.values()
    store = platform.artifact_store
    accesses: list[StoreAccess | None] = [grant.store_access for grant in grants]
    accesses.append(store.pod_access if isinstance(store, S3Store) else None)
    named = {access.secret for access in accesses if access and access.secret} | {platform.runtime.pull_secret}
    return tuple(OperatorSecret(*name.split("/")) for name in sorted(filter(None, named)))


def account(platform: Platform) -> tuple[str, str]:
    """Namespace and name of the ServiceAccount that KubeServe works as."""
    namespace, _, name = (platform.kubernetes.service_account or f"{platform.kubernetes.namespace}/{NAME}").partition(
        "/"
    )
    return namespace, name


def manifest(platform: Platform) -> list[Object]:
    """What an administrator applies once, in the order in which it can be applied."""
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
        *fence(mark, namespace, name),
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
