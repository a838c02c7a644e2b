"""The whole desired graph as objects, held against what is live: what would change, and what can't be done.

Called by `target.py` before the plan. Reads only; all rendering of a round happens here, once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from reconciler.model.described import variant_fields
from reconciler.model.resources import Desired, DesiredVariant, ResourceId
from reconciler.targets.kubernetes.objects.compare import differences, is_drift
from reconciler.targets.kubernetes.objects.identity import (
    DIGEST,
    FIELDS,
    RENDERED,
    Object,
    ObjectRef,
    Propagation,
    annotation,
    stamped,
    workload,
)
from reconciler.targets.kubernetes.objects.kinds import DESCRIBED
from reconciler.targets.kubernetes.objects.rendered import Rendered
from reconciler.targets.kubernetes.planning.observe import Observed, fields_of
from reconciler.targets.kubernetes.planning.replacement import replacements
from reconciler.targets.kubernetes.tenancy.objects import tenant_objects
from reconciler.targets.kubernetes.tenancy.preconditions import Surroundings, refusals
from reconciler.targets.kubernetes.tenancy.quota import check_quotas
from reconciler.targets.protocol import FieldChange, LiveResource, Prepared, PreparedResource
from specs.errors import KubeServeError
from specs.models.platform import Platform


@dataclass(frozen=True, slots=True)
class Payload:
    """What `ensure` and `route` apply: objects in their order, and live ones that are no longer rendered."""

    objects: tuple[Object, ...]
    obsolete: tuple[Object, ...] = ()
    replaced: Mapping[ObjectRef, Propagation] = field(default_factory=dict)  # removed first, as the plan says
    deployment: ResourceId | None = None  # that a variant is of
    routed: bool = False  # whether requests are sent to a variant
    weights: Mapping[ResourceId, int] = field(default_factory=dict)  # of a deployment's traffic, in percent


def prepare(
    desired: Desired,
    observed: Observed,
    rendered: Mapping[ResourceId, Rendered],
    platform: Platform,
    around: Surroundings,
) -> Prepared:
    """Every tenant, variant and deployment; what can't be applied carries the reason."""
    quotas = check_quotas(desired, observed.objects, rendered, platform)
    errors: dict[ResourceId, KubeServeError] = {**quotas.errors, **refusals(desired, platform, around)}
    found: dict[ResourceId, PreparedResource] = {}
    for tenant in desired.tenants:
        objects = tenant_objects(platform, tenant.tenant, around.secrets)
        found[tenant] = _prepared(tenant, objects, observed, errors.get(tenant), note=quotas.notes.get(tenant, ""))
    for variant in desired.variants.values():
        result = rendered[variant.id]
        objects = tuple(_described(one, variant) for one in result.objects)
        found[variant.id] = _prepared(variant.id, objects, observed, errors.get(variant.id) or result.error, variant)
    for deployment in desired.deployments.values():
        result = rendered[deployment.id]
        error = errors.get(deployment.id) or result.error
        found[deployment.id] = _prepared(deployment.id, result.objects, observed, error, weights=deployment.weights)
    return Prepared(found)


def _described(one: Object, variant: DesiredVariant) -> Object:
    """A variant says what it is, so that live state needs no record beside it; its Service too, so that it is
    known when somebody deleted the workload."""
    if (one["apiVersion"], one["kind"]) not in DESCRIBED:
        return one
    said = {DIGEST: variant.digest, FIELDS: orjson.dumps(variant_fields(variant)).decode()}
    annotations = {**(one["metadata"].get("annotations") or {}), **said}
    return {**one, "metadata": {**one["metadata"], "annotations": annotations}}


def _prepared(
    resource: ResourceId,
    objects: Iterable[Object],
    observed: Observed,
    error: KubeServeError | None,
    variant: DesiredVariant | None = None,
    note: str = "",
    weights: Mapping[ResourceId, int] | None = None,
) -> PreparedResource:
    wanted, of = tuple(stamped(one) for one in objects), variant.deployment if variant else None
    if error is not None and not wanted:  # nobody knows what it should be, so nothing of it is obsolete
        return PreparedResource(resource, (), error, payload=Payload((), deployment=of, weights=weights or {}))
    live = observed.objects.get(resource, {})
    pairs = [(one, live.get(ObjectRef.of(one))) for one in wanted]
    different = [(one, there) for one, there in pairs if differences(one, there)]
    names = {ObjectRef.of(one) for one in wanted}
    obsolete = tuple(one for ref, one in live.items() if ref not in names)
    drift = bool(live and different) and not obsolete and all(is_drift(*pair) for pair in different)
    changes = tuple(_changes(variant, live, different, obsolete, drift=drift))
    there = observed.live.resources.get(resource)
    routed = _is_routed(there, observed)
    replaced = replacements(different, serves=routed and there is not None and bool(there.ready))
    payload = Payload(wanted, obsolete, replaced.objects, of, routed, weights or {})
    error = error or replaced.error
    digest = _digest(wanted)
    return PreparedResource(resource, changes, error, drift, payload, note, digest, replaced.note)


def _digest(objects: Iterable[Object]) -> str:
    """Pins them all as they were rendered, by whatever chart."""
    return hashlib.sha256("".join(annotation(one, RENDERED) for one in objects).encode()).hexdigest()


def _is_routed(there: LiveResource | None, observed: Observed) -> bool:
    """Whether a variant takes traffic, if pods of it are ready."""
    if there is None or there.deployment is None:
        return False
    route = observed.live.resources.get(there.deployment)
    return route is not None and bool(route.weights.get(there.id))


def _changes(
    variant: DesiredVariant | None,
    live: Mapping[ObjectRef, Object],
    different: Iterable[tuple[Object, Object | None]],
    obsolete: Iterable[Object],
    *,
    drift: bool,
) -> Iterator[FieldChange]:
    """In the words of the spec where they tell it; of what no spec speaks of, and of drift, the objects' own fields."""
    told = [] if drift else list(_field_changes(variant, live))
    if told:
        yield from told
        return
    for one, there in different:
        yield from differences(one, there)
    for one in obsolete:
        yield FieldChange(f"{one['kind']} {one['metadata']['name']}", "present", None)


def _field_changes(variant: DesiredVariant | None, live: Mapping[ObjectRef, Object]) -> Iterator[FieldChange]:
    running = workload(live.values())
    if variant is None or running is None:
        return
    old, new = fields_of(running), variant_fields(variant)
    for name in {**new, **old}:
        if old.get(name) != new.get(name):
            yield FieldChange(name, old.get(name), new.get(name))
