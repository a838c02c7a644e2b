"""The labels and annotations of our objects, and an object's identity. Pure; used by all of the Kubernetes target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson

from reconciler.model import resources
from reconciler.model.graph_digest import sha256_digest
from reconciler.model.resources import JSON, Kind, ResourceId, deployment_id, tenant_id, variant_id
from reconciler.targets.kubernetes.objects.kinds import AUTOSCALER, WORKLOAD, ApiKind

MANAGER = "kubeserve"
"""Our field manager, and the value of the label that says so."""
SCALER = "kubeserve-scale"
"""The field manager that holds a number of replicas until an autoscaler takes it over."""

MANAGED_BY = "app.kubernetes.io/managed-by"
PREFIX = "kubeserve.io/"
INSTALLATION = "kubeserve.io/installation"
TENANT = "kubeserve.io/tenant"
DEPLOYMENT = "kubeserve.io/deployment"
VARIANT = "kubeserve.io/variant"
DIGEST = "kubeserve.io/digest"  # annotation: the version's digest
RENDERED = "kubeserve.io/rendered"  # annotation: digest of the object as it was rendered
FIELDS = "kubeserve.io/fields"  # annotation: JSON of `reconciler.model.described`, text for people
FACTS = "kubeserve.io/facts"  # annotation: JSON of a variant's version, model, replicas and drain time

Object = dict[str, JSON]
"""One Kubernetes object, as JSON."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    api_version: str
    kind: str
    namespace: str  # "" for what is cluster-wide
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @classmethod
    def of(cls, content: Mapping[str, JSON]) -> ObjectRef:
        metadata = content["metadata"]
        return cls(content["apiVersion"], content["kind"], metadata.get("namespace") or "", metadata["name"])

    @property
    def api(self) -> ApiKind:
        return ApiKind(self.api_version, self.kind)


Objects = Mapping[ObjectRef, Object]
"""The objects of one resource."""


def marks(installation: str, tenant: str, deployment: str = "", variant: str = "") -> dict[str, str]:
    """The labels of an object of this installation."""
    found = {MANAGED_BY: MANAGER, INSTALLATION: installation, TENANT: tenant}
    if deployment:
        found[DEPLOYMENT] = deployment
    if variant:
        found[VARIANT] = variant
    return found


def selector(installation: str, *tenants: str) -> str:
    """The label selector of everything that is ours, or that is ours and of one of these tenants."""
    parts = [f"{MANAGED_BY}={MANAGER}", f"{INSTALLATION}={installation}"]
    if len(tenants) == 1:
        parts.append(f"{TENANT}={tenants[0]}")
    elif tenants:
        parts.append(f"{TENANT} in ({','.join(sorted(tenants))})")
    return ",".join(parts)


def owner(found: Mapping[str, JSON]) -> ResourceId | None:
    """The resource that an object belongs to, by its labels; None if it isn't ours."""
    labels = found["metadata"].get("labels") or {}
    tenant = labels.get(TENANT)
    if labels.get(MANAGED_BY) != MANAGER or not tenant:
        return None
    if labels.get(VARIANT):
        return variant_id(tenant, labels[VARIANT])
    return deployment_id(tenant, labels[DEPLOYMENT]) if labels.get(DEPLOYMENT) else tenant_id(tenant)


def deployment_of(resource: ResourceId, content: Mapping[str, JSON]) -> ResourceId:
    """The deployment that a variant belongs to, by the labels of one of its objects; any other resource is its own."""
    if resource.kind is not Kind.VARIANT:
        return resource
    name = content["metadata"]["labels"].get(DEPLOYMENT)
    return deployment_id(resource.tenant, name) if name else resources.deployment_of(resource)


class Propagation(StrEnum):
    """What happens to the dependents of a deleted object."""

    BACKGROUND = "Background"  # they are deleted too
    ORPHAN = "Orphan"  # they stay


def workload(objects: Iterable[Object]) -> Object | None:
    """Of a variant's objects: the one that runs it."""
    return next((one for one in objects if one["kind"] == WORKLOAD.kind), None)


def is_autoscaled(objects: Iterable[Object]) -> bool:
    """Whether a variant's number of replicas belongs to an autoscaler."""
    return any(one["kind"] == AUTOSCALER.kind for one in objects)


def is_terminating(content: Mapping[str, JSON]) -> bool:
    """Whether its removal was requested and has not finished."""
    return bool(content["metadata"].get("deletionTimestamp"))


def rendered_digest(found: Object) -> str:
    """The digest of an object as rendered, without the annotation that holds this digest."""
    annotations = {k: v for k, v in (found["metadata"].get("annotations") or {}).items() if k != RENDERED}
    bare = {**found, "metadata": {**found["metadata"], "annotations": annotations}}
    return sha256_digest(orjson.dumps(bare, option=orjson.OPT_SORT_KEYS))


def stamped(found: Object) -> Object:
    """The same object, annotated with the digest of what it is."""
    annotations = {**(found["metadata"].get("annotations") or {}), RENDERED: rendered_digest(found)}
    return {**found, "metadata": {**found["metadata"], "annotations": annotations}}


def recorded(text: str) -> dict[str, str]:
    """What a variant's annotation says of it, field by field; nothing where somebody broke it."""
    try:
        fields = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return {str(key): str(value) for key, value in fields.items()} if isinstance(fields, dict) else {}


def annotation(found: Mapping[str, JSON], name: str) -> str:
    value: str = (found["metadata"].get("annotations") or {}).get(name, "")
    return value
