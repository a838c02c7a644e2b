"""The Kubernetes parts of platform.yaml: names of things in the cluster, routing, and how pods reach the store."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from specs.models import urls
from specs.models.fields import Boolean, Model
from specs.names import LABEL_PATTERN, quoted
from specs.problems import Refusal

MAX_LABEL = 63
MAX_PREFIX = 22  # with a tenant of at most 40 characters it still is a namespace's name
MAX_HOST = 253
MAX_ANNOTATIONS = 32
MAX_ANNOTATION_VALUE = 4096
MAX_PATH = 4096

RESERVED_VALUES = frozenset(
    {"name", "deployment", "tenant", "namespace", "installation", "managedBy", "model", "backends", "checks"}
    | {"variants", "deployments", "batch", "overlays", "global"}
)
"""Chart values that identify an object; an overlay may not change them."""

_HOST = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_NAMESPACED = re.compile(rf"({LABEL_PATTERN})/({LABEL_PATTERN}(?:\.{LABEL_PATTERN})*)")
_ANNOTATION = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def check_host(value: str) -> str:
    """A host name without scheme, port or wildcard."""
    if len(value) <= MAX_HOST and _HOST.fullmatch(value):
        return value
    raise Refusal(
        "host", "Not a host name", f"{quoted(value)} must be a plain lower-case host name, like models.example.org."
    )


def _check_namespaced(value: str) -> str:
    match = _NAMESPACED.fullmatch(value)
    if match and len(match[1]) <= MAX_LABEL and len(match[3]) <= MAX_HOST:
        return value
    raise Refusal("namespaced-name", "Not NAMESPACE/NAME", f"{quoted(value)} must be written as namespace/name.")


def _check_annotation(name: str) -> str:
    if _ANNOTATION.fullmatch(name):
        return name
    raise Refusal("annotation", "Not the name of an annotation", f"{quoted(name)} must look like example.org/name.")


Namespace = Annotated[str, Field(max_length=MAX_LABEL, pattern=rf"^{LABEL_PATTERN}$")]
NamespacedName = Annotated[str, AfterValidator(_check_namespaced)]
SecretName = NamespacedName
Host = Annotated[str, AfterValidator(check_host)]
Endpoint = Annotated[str, AfterValidator(urls.check_endpoint)]


def _check_values(values: dict[str, Any]) -> dict[str, Any]:
    for key in values:
        if key in RESERVED_VALUES:
            raise Refusal(
                "reserved-value",
                "Not for an overlay",
                f"`{key}` of the chart says which model is served where, and comes from the specs alone. Remove it.",
                (key,),
            )
    return values


ChartValues = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=MAX_LABEL)], Any], AfterValidator(_check_values)
]


class Routing(StrEnum):
    GATEWAY = "gateway"
    INGRESS = "ingress"
    SERVICE = "service"


class Kubernetes(Model):
    """Where in a cluster deployments run, and how they are reached."""

    context: Annotated[str, Field(min_length=1, max_length=MAX_HOST)] | None = None
    """The context of the kubeconfig; its current context if absent."""
    namespace_prefix: Annotated[str, Field(max_length=MAX_PREFIX, pattern=r"^[a-z0-9][a-z0-9-]*$")] = "kubeserve-"
    """The prefix of the tenants' namespaces."""
    routing: Routing = Routing.GATEWAY
    """What routes requests to deployments."""
    gateway: NamespacedName | None = None
    """The Gateway to which routes are attached, as NAMESPACE/NAME; without it only the stable Service serves."""
    host: Host | None = None
    """The host name of the routes."""
    url: Endpoint | None = None
    """The base URL that is shown to users."""
    gateway_namespace: Namespace | None = None
    """The namespace from which requests come, for the network policies."""
    monitoring_namespace: Namespace | None = None
    """The namespace from which metrics are scraped, for the network policies."""
    chart: Annotated[str, Field(min_length=1, max_length=MAX_PATH, pattern=r"^[^\x00-\x1f]+$")] | None = None
    """The operator's own Helm chart for variants, relative to this file; KubeServe's chart if absent."""
    values: ChartValues = Field(default_factory=dict)
    """Values for the chart, where specs don't say otherwise: probes, autoscaling, tolerations and so on."""
    namespace: Namespace = "kubeserve"
    """The namespace of KubeServe's own objects: the Lease that lets only one round run at a time."""
    service_account: NamespacedName | None = None
    """The service account that KubeServe runs as, NAMESPACE/NAME; it gets write access to each tenant's namespace."""
    force: Boolean = False
    """Whether to take over fields that another field manager applies."""

    @model_validator(mode="after")
    def _gateway_is_used(self) -> Self:
        if self.gateway is not None and self.routing is not Routing.GATEWAY:
            raise Refusal(
                "gateway-unused",
                "Gateway without gateway routing",
                f"With 'routing: {self.routing}' no route has a gateway as its parent. Remove `gateway:`, or "
                "write 'routing: gateway'.",
                ("gateway",),
            )
        return self


class StoreAccess(Model):
    """How pods may read the store: by a Secret that the operator made, or by their service account's annotations."""

    secret: SecretName | None = None
    """The operator's Secret, as NAMESPACE/NAME."""
    service_account_annotations: (
        Annotated[
            dict[
                Annotated[str, AfterValidator(_check_annotation)],
                Annotated[str, Field(max_length=MAX_ANNOTATION_VALUE)],
            ],
            Field(min_length=1, max_length=MAX_ANNOTATIONS),
        ]
        | None
    ) = None
    """The annotations of the tenant's service account."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.secret is None) == (self.service_account_annotations is None):
            raise Refusal(
                "store-access",
                "Not one way to the store",
                "Access to the store is given by either `secret: NAMESPACE/NAME` or `serviceAccountAnnotations:`.",
            )
        return self
