"""The one table of the kinds of objects that KubeServe writes, and the names of the other kinds that it uses. Pure.

What a chart may make, what is listed, what can't be changed in place and what RBAC has to allow are derived from this
table: a new kind needs an entry here, the fence's check of its spec, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from reconciler.model.resources import Kind

WRITE = ("get", "create", "patch", "delete")  # server-side apply of a new object needs both create and patch


class ApiKind(NamedTuple):
    """A kind as the API names it."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        """`apps` of `apps/v1`; "" of the core group."""
        return self.api_version.rpartition("/")[0]


NAMESPACE = ApiKind("v1", "Namespace")
ROLE_BINDING = ApiKind("rbac.authorization.k8s.io/v1", "RoleBinding")
RESOURCE_QUOTA = ApiKind("v1", "ResourceQuota")
LIMIT_RANGE = ApiKind("v1", "LimitRange")
ACCOUNT = ApiKind("v1", "ServiceAccount")
NETWORK_POLICY = ApiKind("networking.k8s.io/v1", "NetworkPolicy")
WORKLOAD = ApiKind("apps/v1", "Deployment")
SERVICE = ApiKind("v1", "Service")
AUTOSCALER = ApiKind("autoscaling/v2", "HorizontalPodAutoscaler")
BUDGET = ApiKind("policy/v1", "PodDisruptionBudget")
MONITOR = ApiKind("monitoring.coreos.com/v1", "ServiceMonitor")
INGRESS = ApiKind("networking.k8s.io/v1", "Ingress")
HTTP_ROUTE = ApiKind("gateway.networking.k8s.io/v1", "HTTPRoute")

# Kinds that others make, or that are no part of a tenant, a variant or a deployment.
REPLICA_SET = ApiKind("apps/v1", "ReplicaSet")
POD = ApiKind("v1", "Pod")
SECRET = ApiKind("v1", "Secret")
EVENT = ApiKind("v1", "Event")
GATEWAY = ApiKind("gateway.networking.k8s.io/v1", "Gateway")
LEASE = ApiKind("coordination.k8s.io/v1", "Lease")


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """A kind of which KubeServe writes objects."""

    api: ApiKind
    plural: str  # as RBAC and the API's paths name it
    of: frozenset[Kind]  # the resources of ours that have objects of this kind
    why: str  # the reason for writing it, for whoever reads the RBAC manifest
    required: frozenset[Kind] = frozenset()  # those that must have one, of the resource's own name
    optional: bool = False  # a custom resource definition brings it, and the cluster may lack that
    described: bool = False  # its objects record what their variant is
    unchangeable: str = ""  # the path that the API never changes in place: one value, to which nobody can add
    removed_last: bool = False  # after all other objects of its resource
    watched: bool = False  # to follow a rollout, besides listed
    verbs: tuple[str, ...] = WRITE  # in a tenant's namespace


_TENANT = frozenset({Kind.TENANT})
_VARIANT = frozenset({Kind.VARIANT})
_DEPLOYMENT = frozenset({Kind.DEPLOYMENT})

KINDS = (
    ObjectKind(NAMESPACE, "namespaces", _TENANT, "A tenant is a namespace.", removed_last=True, verbs=()),
    ObjectKind(ROLE_BINDING, "rolebindings", _TENANT, "The way in.", unchangeable="roleRef", verbs=()),
    ObjectKind(RESOURCE_QUOTA, "resourcequotas", _TENANT, "What a tenant's pods may use."),
    ObjectKind(LIMIT_RANGE, "limitranges", _TENANT, "What a container may use that doesn't say."),
    ObjectKind(ACCOUNT, "serviceaccounts", _TENANT, "What a tenant's pods run as."),
    ObjectKind(NETWORK_POLICY, "networkpolicies", _TENANT, "What a tenant's pods may reach, and be reached from."),
    ObjectKind(
        WORKLOAD,
        "deployments",
        _VARIANT,
        "The pods of a variant.",
        required=_VARIANT,
        described=True,
        unchangeable="spec.selector",
        watched=True,
    ),
    ObjectKind(
        SERVICE,
        "services",
        _VARIANT | _DEPLOYMENT,
        "The addresses of a variant and of a deployment.",
        required=_VARIANT | _DEPLOYMENT,
        described=True,
        removed_last=True,  # it still answers while its pods drain
    ),
    ObjectKind(AUTOSCALER, "horizontalpodautoscalers", _VARIANT, "The number of a variant's replicas."),
    ObjectKind(BUDGET, "poddisruptionbudgets", _VARIANT, "How many replicas may be evicted at once."),
    ObjectKind(MONITOR, "servicemonitors", _VARIANT, "Where metrics are scraped.", optional=True),
    ObjectKind(INGRESS, "ingresses", _DEPLOYMENT, "Routes of `routing: ingress`."),
    ObjectKind(HTTP_ROUTE, "httproutes", _DEPLOYMENT, "Routes of `routing: gateway`, with weights.", optional=True),
)
"""In the order in which they are listed.

Unchangeable: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#label-selector-updates,
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#clusterrolebinding-example
"""

OPTIONAL = frozenset(kind.api for kind in KINDS if kind.optional)
DESCRIBED = frozenset(kind.api for kind in KINDS if kind.described)
UNCHANGEABLE = {kind.api: kind.unchangeable for kind in KINDS if kind.unchangeable}
REMOVED_LAST = frozenset(kind.api for kind in KINDS if kind.removed_last)


def kinds_of(*resources: Kind) -> tuple[ApiKind, ...]:
    """The kinds of the objects of these resources; of all of ours where none is named."""
    return tuple(kind.api for kind in KINDS if not resources or kind.of & set(resources))


ALLOWED = {resource: frozenset(kinds_of(resource)) for resource in Kind}
"""What a chart may make for a resource."""
REQUIRED = {resource: tuple(kind.api for kind in KINDS if resource in kind.required) for resource in Kind}
"""What a chart must make, under the resource's own name, because readiness and routes ask for it by that name."""
