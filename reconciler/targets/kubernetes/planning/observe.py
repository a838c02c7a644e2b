"""Everything with this installation's labels: one LIST for each kind, grouped by the resource that it belongs to.

Called by `target.py`. Secrets are never listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import orjson

from reconciler.model.resources import JSON, Kind, ResourceId, Scope, variant_id
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.objects.identity import (
    FIELDS,
    PREFIX,
    VARIANT,
    Object,
    ObjectRef,
    Objects,
    annotation,
    deployment_of,
    is_autoscaled,
    is_terminating,
    owner,
    selector,
    workload,
)
from reconciler.targets.kubernetes.objects.kinds import GATEWAY, HTTP_ROUTE, NAMESPACE, OPTIONAL, ApiKind, kinds_of
from reconciler.targets.kubernetes.objects.record import record_of
from reconciler.targets.kubernetes.objects.routes import refused
from reconciler.targets.protocol import Live, LiveResource, LiveRoute, LiveTenant, LiveVariant

LISTING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Live objects by the resource that they belong to."""

    objects: Mapping[ResourceId, Objects]


def objects_of(live: Live) -> Mapping[ResourceId, Objects]:
    """What a Kubernetes target saw when it observed this."""
    if not isinstance(live.snapshot, Snapshot):
        raise TypeError("this was not observed by a Kubernetes target")
    return live.snapshot.objects


def observe(kube: KubeClient, installation: str, scope: Scope, gateway: str | None = None) -> Live:
    """One listing a kind that the cluster serves. `gateway`: NAMESPACE/NAME of the Gateway that routes need."""
    kinds = served(kube, kinds_of())
    labels = selector(installation, *scope.tenants)
    with ThreadPoolExecutor(LISTING_THREADS, thread_name_prefix="observe") as pool:
        listed = pool.map(lambda kind: kube.list(*kind, labels=labels), kinds)
        exists = pool.submit(gateway_exists, kube, gateway)
        found = [one for objects in listed for one in objects]
    return group(found, scope, lost_gateway=gateway if gateway and not exists.result() else None)


def gateway_exists(kube: KubeClient, name: str | None) -> bool:
    """Whether there is a Gateway NAMESPACE/NAME; True if we may not read it and so don't know."""
    if name is None or not kube.serves(*GATEWAY):
        return True
    namespace, _, short = name.partition("/")
    try:
        return kube.metadata(ObjectRef(*GATEWAY, namespace, short)) is not None
    except KubeError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        return True


def served(kube: KubeClient, kinds: Iterable[ApiKind]) -> list[ApiKind]:
    """Those of some kinds that the cluster serves."""
    return [kind for kind in kinds if kind not in OPTIONAL or kube.serves(*kind)]


def group(found: Iterable[Object], scope: Scope, lost_gateway: str | None = None) -> Live:
    """Pure: objects by owner, and each owner as a live resource. `lost_gateway`: the Gateway of the routes that does
    not exist."""
    objects: dict[ResourceId, dict[ObjectRef, Object]] = {}
    closing: set[str] = set()
    for one in found:
        if one["kind"] == NAMESPACE.kind and is_terminating(one):
            closing.add(one["metadata"]["name"])
        resource = owner(one)
        if resource is not None and deployment_of(resource, one) in scope:
            objects.setdefault(resource, {})[ObjectRef.of(one)] = one
    routes = (resource for resource in objects if resource.kind is Kind.DEPLOYMENT)
    causes = {route: unreachable(objects[route].values(), closing, lost_gateway) for route in routes}
    resources = (live(resource, parts.values(), causes.get(resource, "")) for resource, parts in objects.items())
    return Live.of(resources, Snapshot(objects))


def fingerprint(objects: Collection[Object]) -> str:
    """Changes when an object was created again or its content changed; not with its status, nor with a number of
    replicas that an autoscaler chose."""
    autoscaled = is_autoscaled(objects)
    parts = sorted(_content(found, autoscaled=autoscaled) for found in objects)
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def routed(found: Iterable[Object]) -> Mapping[str, int]:
    """Variant -> weight, from the HTTPRoute among a deployment's objects, else from the stable Service."""
    by_kind = {one["kind"]: one for one in found}
    service = by_kind.get("Service")
    chosen = (service["spec"].get("selector") or {}).get(VARIANT) if service else None
    route = by_kind.get("HTTPRoute")
    if route is None or not route["spec"].get("parentRefs"):
        return {chosen: 100} if chosen else {}
    rules = route["spec"].get("rules") or [{}]
    backends = rules[0].get("backendRefs") or []
    return {backend["name"]: int(backend.get("weight", 1)) for backend in backends}


def unreachable(objects: Iterable[Object], closing: Collection[str], lost_gateway: str | None) -> str:
    """Why no request reaches a deployment by its route; "" where nothing says so. `closing`: namespaces that are being
    deleted."""
    for one in objects:
        if (namespace := one["metadata"]["namespace"]) in closing:
            return f"its namespace {namespace} is being deleted"
        if one["kind"] == HTTP_ROUTE.kind and one["spec"].get("parentRefs"):
            why = [f"Gateway {lost_gateway} does not exist"] if lost_gateway else list(refused(one))
            if why:
                return f"{ObjectRef.of(one)} carries no traffic: {'; '.join(dict.fromkeys(why))}"
    return ""


def live(resource: ResourceId, found: Collection[Object], cause: str = "") -> LiveResource:
    """What the engine sees of a resource, from its objects. `cause`: why a deployment can't be reached."""
    objects = list(found)
    mark = fingerprint(objects)
    going = all(is_terminating(one) for one in objects)
    if resource.kind is Kind.DEPLOYMENT:
        weights = {variant_id(resource.tenant, name): weight for name, weight in routed(objects).items()}
        reachable = bool(weights) and not cause  # without weights the stable Service is gone, too
        return LiveRoute(resource, mark, weights, reachable, cause, terminating=going)
    if resource.kind is Kind.TENANT:
        return LiveTenant(resource, mark, terminating=going)
    return _live_variant(resource, objects, mark, going=going)


def _live_variant(resource: ResourceId, objects: list[Object], mark: str, *, going: bool) -> LiveVariant:
    running = workload(objects)
    record = record_of(running or next((one for one in objects if annotation(one, FIELDS)), objects[0]))
    status: Mapping[str, JSON] = (running or {}).get("status") or {}
    return LiveVariant(
        resource,
        mark,
        deployment_of(resource, objects[0]),
        record.version,
        record.model,
        record.digest,
        record.replicas,
        record.drain_seconds,
        record.described,
        running=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        terminating=going,
    )


def _content(found: Object, *, autoscaled: bool) -> bytes:
    metadata = found["metadata"]
    kept: dict[str, JSON] = {key: metadata.get(key) for key in ("name", "namespace", "uid", "labels")}
    annotations = metadata.get("annotations") or {}
    kept["annotations"] = {key: value for key, value in annotations.items() if key.startswith(PREFIX)}
    rest = {key: value for key, value in found.items() if key not in ("metadata", "status")}
    if autoscaled and found["kind"] == "Deployment":
        rest["spec"] = {key: value for key, value in found["spec"].items() if key != "replicas"}
    return orjson.dumps([kept, rest], option=orjson.OPT_SORT_KEYS)
