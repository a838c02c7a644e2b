"""The whole desired graph as objects, held against what is live: what would change, and what can't be done.

Called by `target.py` before the plan. Reads only; all rendering of a round happens here, once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.model.described import FieldChange
from reconciler.model.resources import Desired, DesiredVariant, ResourceId
from reconciler.targets.kubernetes.objects.compare import differences, is_drift
from reconciler.targets.kubernetes.objects.identity import (
    RENDERED,
    Object,
    ObjectRef,
    annotation,
    stamped,
)
from reconciler.targets.kubernetes.objects.kinds import DESCRIBED
from reconciler.targets.kubernetes.objects.record import annotations_of
from reconciler.targets.kubernetes.objects.rendered import Rendered
from reconciler.targets.kubernetes.planning.observe import objects_of
from reconciler.targets.kubernetes.planning.payload import Payload
from reconciler.targets.kubernetes.planning.replacement import replacements
from reconciler.targets.kubernetes.tenancy.objects import tenant_objects
from reconciler.targets.kubernetes.tenancy.preconditions import Surroundings, refusals
from reconciler.targets.kubernetes.tenancy.quota import check_quotas
from reconciler.targets.protocol import Live, LiveVariant, PreparedResource
from specs.errors import KubeServeError
from specs.models.platform import Platform


@dataclass(frozen=True, slots=True)
class PreparedObjects:
    """`payloads` has none for what nobody knows how to render."""

    resources: Mapping[ResourceId, PreparedResource]
    payloads: Mapping[ResourceId, Payload]


def prepare(
    desired: Desired,
    live: Live,
    rendered: Mapping[ResourceId, Rendered],
    platform: Platform,
    around: Surroundings,
) -> PreparedObjects:
    """Every tenant, variant and deployment; what can't be applied carries the reason."""
    quotas = check_quotas(desired, objects_of(live), rendered, platform)
    errors: dict[ResourceId, KubeServeError] = {**quotas.errors, **refusals(desired, platform, around)}
    found: dict[ResourceId, tuple[PreparedResource, Payload | None]] = {}
    for tenant in desired.tenants:
        wanted = Payload(_stamped(tenant_objects(platform, tenant.tenant, around.secrets)))
        found[tenant] = _prepared(tenant, wanted, live, errors.get(tenant), quotas.notes.get(tenant, ""))
    for variant in desired.variants.values():
        result = rendered[variant.id]
        objects = _stamped(_described(one, variant) for one in result.objects)
        wanted = Payload(objects, deployment=variant.deployment)
        found[variant.id] = _prepared(variant.id, wanted, live, errors.get(variant.id) or result.error)
    for deployment in desired.deployments.values():
        result = rendered[deployment.id]
        wanted = Payload(_stamped(result.objects), weights=deployment.weights)
        found[deployment.id] = _prepared(deployment.id, wanted, live, errors.get(deployment.id) or result.error)
    return PreparedObjects(
        {resource: prepared for resource, (prepared, _) in found.items()},
        {resource: payload for resource, (_, payload) in found.items() if payload is not None},
    )


def _described(one: Object, variant: DesiredVariant) -> Object:
    """A variant says what it is, so that live state needs no record beside it; its Service too, so that it is
    known when somebody deleted the workload."""
    if (one["apiVersion"], one["kind"]) not in DESCRIBED:
        return one
    annotations = {**(one["metadata"].get("annotations") or {}), **annotations_of(variant)}
    return {**one, "metadata": {**one["metadata"], "annotations": annotations}}


def _stamped(objects: Iterable[Object]) -> tuple[Object, ...]:
    return tuple(stamped(one) for one in objects)


def _prepared(
    resource: ResourceId, wanted: Payload, live: Live, error: KubeServeError | None, note: str = ""
) -> tuple[PreparedResource, Payload | None]:
    if error is not None and not wanted.objects:  # nobody knows what it should be, so nothing of it is obsolete
        return PreparedResource(resource, trouble=error.trouble), None
    objects = objects_of(live).get(resource, {})
    pairs = [(one, objects.get(ObjectRef.of(one))) for one in wanted.objects]
    different = [(one, there) for one, there in pairs if differences(one, there)]
    names = {ObjectRef.of(one) for one in wanted.objects}
    obsolete = tuple(one for ref, one in objects.items() if ref not in names)
    drift = bool(objects and different) and not obsolete and all(is_drift(*pair) for pair in different)
    variant = live.variants.get(resource)
    routed = variant is not None and _is_routed(variant, live)
    replaced = replacements(different, serves=routed and variant is not None and bool(variant.ready))
    changes = tuple(_changes(different, obsolete))
    route = live.routes.get(resource)
    if route is not None and route.cause and not changes:
        changes, drift = (FieldChange("route", route.cause, "reachable"),), True
    error = error or replaced.error
    prepared = PreparedResource(
        resource,
        changes,
        drift,
        error.trouble if error else None,
        note,
        _digest(wanted.objects),
        replaced.note,
    )
    return prepared, replace(wanted, obsolete=obsolete, replaced=replaced.objects, routed=routed)


def _digest(objects: Iterable[Object]) -> str:
    """Pins them all as they were rendered, by whatever chart."""
    return hashlib.sha256("".join(annotation(one, RENDERED) for one in objects).encode()).hexdigest()


def _is_routed(variant: LiveVariant, live: Live) -> bool:
    """Whether a variant takes traffic, if pods of it are ready."""
    route = live.routes.get(variant.deployment)
    return route is not None and bool(route.weights.get(variant.id))


def _changes(different: Iterable[tuple[Object, Object | None]], obsolete: Iterable[Object]) -> Iterator[FieldChange]:
    for one, there in different:
        yield from differences(one, there)
    for one in obsolete:
        yield FieldChange(f"{one['kind']} {one['metadata']['name']}", "present", None)
