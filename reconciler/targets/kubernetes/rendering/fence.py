"""What rendered objects may be: a few kinds, in the tenant's own namespace, with our labels, and no access beyond.

Our chart keeps to these rules; the operator's own chart and values have to. Pure; called by `job.py` for every object,
before it is cached. FenceError names the template and the violation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from reconciler.model.resources import JSON, ResourceId
from reconciler.targets.kubernetes.objects.identity import VARIANT, Object
from reconciler.targets.kubernetes.objects.kinds import ALLOWED, REQUIRED
from reconciler.targets.kubernetes.rendering.documents import Document
from reconciler.targets.kubernetes.rendering.errors import FenceError
from reconciler.targets.kubernetes.rendering.fence_pod import template_faults, unknown_fields

MAX_OBJECT_BYTES = 1_000_000  # an API server takes 1.5 MiB, with what it adds itself
MAX_OBJECTS = 16  # of one variant or deployment

_METADATA = frozenset({"name", "namespace", "labels", "annotations"})
_SPECS = {
    "Deployment": frozenset(
        {"replicas", "selector", "template", "strategy", "minReadySeconds", "revisionHistoryLimit"}
        | {"progressDeadlineSeconds"}
    ),
    "Service": frozenset(
        {"type", "selector", "ports", "sessionAffinity", "sessionAffinityConfig", "publishNotReadyAddresses"}
    ),
    "HorizontalPodAutoscaler": frozenset({"scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior"}),
    "PodDisruptionBudget": frozenset({"minAvailable", "maxUnavailable", "selector", "unhealthyPodEvictionPolicy"}),
    "ServiceMonitor": frozenset(
        {"jobLabel", "targetLabels", "podTargetLabels", "selector", "namespaceSelector", "endpoints", "sampleLimit"}
        | {"targetLimit", "labelLimit", "labelNameLengthLimit", "labelValueLengthLimit"}
    ),
    "HTTPRoute": frozenset({"parentRefs", "hostnames", "rules"}),
    "Ingress": frozenset({"ingressClassName", "tls", "rules"}),
}
"""What the spec of each kind may have: `paused` would keep a Deployment from starting, for example."""
_RULE = frozenset({"name", "matches", "backendRefs", "timeouts", "retry", "sessionPersistence"})
_ENDPOINT = frozenset(
    {"port", "targetPort", "path", "scheme", "interval", "scrapeTimeout", "metricRelabelings", "relabelings"}
)
"""Of a ServiceMonitor. `bearerTokenFile` and its like would have Prometheus send its own credentials to the pod."""
_RELABEL = frozenset({"replace", "keep", "drop", "labeldrop", "labelkeep", "hashmod", "lowercase", "uppercase"})
"""All but `labelmap`, which can write labels that choose the scraped address, as a target label of `__` can."""
_HOOK = "helm.sh/hook"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the objects of one resource must be."""

    id: ResourceId
    namespace: str
    labels: Mapping[str, str]
    paths: frozenset[str] = frozenset()  # of a deployment's routes
    host: str | None = None
    gateway: str | None = None  # NAMESPACE/NAME
    backends: frozenset[str] = frozenset()  # Services that a deployment's route may lead to


def fence(documents: Iterable[Document], expected: Expected) -> tuple[Object, ...]:
    """The objects, if all of them are allowed. FenceError for the first that is not, or for too many."""
    found = []
    for document in documents:
        fault = next(_faults(document.content, expected), None)
        if fault is not None:
            metadata = document.content["metadata"]
            what = f"{document.content['kind']} {metadata.get('name', '')}".strip()
            raise FenceError("A rendered object is refused", f"{document.template}: {what} of {expected.id}: {fault}.")
        found.append(document.content)
    if len(found) > MAX_OBJECTS:
        raise FenceError("Too many objects", f"The chart made {len(found)} for {expected.id}; at most {MAX_OBJECTS}.")
    names = {(one["kind"], one["metadata"]["name"]) for one in found}
    for _, kind in REQUIRED[expected.id.kind]:
        if (kind, expected.id.name) not in names:
            raise FenceError("An object is missing", f"The chart made no {kind} {expected.id.name} for {expected.id}.")
    return tuple(found)


def _faults(one: Object, expected: Expected) -> Iterator[str]:
    kind = (one["apiVersion"], one["kind"])
    if kind not in ALLOWED[expected.id.kind]:
        yield f"a {expected.id.kind} has no {kind[0]} {kind[1]}"
        return
    if not isinstance(one.get("spec"), dict) or set(one) - {"apiVersion", "kind", "metadata", "spec"}:
        yield "it consists of apiVersion, kind, metadata and spec"
        return
    try:
        size = len(orjson.dumps(one))
        if size > MAX_OBJECT_BYTES:
            yield f"it has {size} bytes, and at most {MAX_OBJECT_BYTES} are allowed"
        yield from _metadata_faults(one["metadata"], expected)
        yield from (f"its spec {fault}" for fault in unknown_fields(one["spec"], _SPECS[one["kind"]]))
        yield from CHECKS[one["kind"]](one["spec"], expected)
    except (AttributeError, TypeError, LookupError):
        yield "it does not have the shape of its kind"


def _metadata_faults(metadata: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    if metadata.get("namespace") != expected.namespace:
        yield f"its namespace must be {expected.namespace}, and is {metadata.get('namespace')}"
    if not isinstance(metadata.get("name"), str):
        yield "it has no name"
    if unknown := sorted(set(metadata) - _METADATA):
        yield f"its metadata may not have {unknown[0]}"
    if _HOOK in (metadata.get("annotations") or {}):
        yield "hooks are not run"
    yield from _label_faults(metadata.get("labels"), expected)


def _label_faults(labels: JSON, expected: Expected) -> Iterator[str]:
    found = labels or {}
    for name, value in expected.labels.items():
        if found.get(name) != value:
            yield f"its label {name} must be {value}, and is {found.get(name)}"
    if VARIANT in found and VARIANT not in expected.labels:
        yield f"it may not have the label {VARIANT}"


def _deployment_faults(spec: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    yield from _own_faults((spec.get("selector") or {}).get("matchLabels"), expected)
    template = spec["template"]
    yield from (f"of its pods, {fault}" for fault in _label_faults(template["metadata"].get("labels"), expected))
    yield from template_faults(template)


def _budget_faults(spec: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    yield from _own_faults((spec.get("selector") or {}).get("matchLabels"), expected)


def _monitor_faults(spec: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    yield from _own_faults((spec.get("selector") or {}).get("matchLabels"), expected)
    if spec.get("namespaceSelector"):
        yield "it may select no other namespace"
    for endpoint in spec["endpoints"]:
        yield from (f"its endpoints {fault}" for fault in unknown_fields(endpoint, _ENDPOINT))
        for rule in endpoint.get("relabelings") or ():
            if rule.get("action", "replace") not in _RELABEL or str(rule.get("targetLabel", "")).startswith("__"):
                yield "its relabelings may not change what is scraped"


def _scaler_faults(spec: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    target = spec["scaleTargetRef"]
    if (target.get("kind"), target.get("name")) != ("Deployment", expected.id.name):
        yield f"it must scale the Deployment {expected.id.name}"


def _service_faults(spec: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    if spec.get("type", "ClusterIP") != "ClusterIP":
        yield f"its type must be ClusterIP, and is {spec['type']}"
    selected = (spec.get("selector") or {}).get(VARIANT)
    backends = expected.backends or {expected.id.name}
    if selected not in backends:
        yield f"it must select {VARIANT} {' or '.join(sorted(backends))}"


def _route_faults(spec: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    for parent in spec.get("parentRefs") or ():
        name = f"{parent.get('namespace', expected.namespace)}/{parent.get('name')}"
        if name != expected.gateway or parent.get("kind", "Gateway") != "Gateway":
            yield f"its parent {name} is not the gateway of platform.yaml"
    yield from _host_faults(spec.get("hostnames") or (), expected)
    for rule in spec["rules"]:
        yield from (f"its rules {fault}" for fault in unknown_fields(rule, _RULE))
        for match in rule["matches"]:
            yield from _path_faults(match["path"]["value"], expected)
        for backend in rule["backendRefs"]:
            named = backend.get("kind", "Service"), backend.get("group", ""), backend.get("namespace", "")
            if named != ("Service", "", "") or backend.get("filters"):
                yield "it may lead to Services of its own namespace alone"
            yield from _backend_faults(backend.get("name"), expected.backends)


def _ingress_faults(spec: Mapping[str, JSON], expected: Expected) -> Iterator[str]:
    yield from _host_faults((rule.get("host") for rule in spec["rules"]), expected)
    for rule in spec["rules"]:
        for path in rule["http"]["paths"]:
            yield from _path_faults(path["path"], expected)
            yield from _backend_faults(path["backend"]["service"]["name"], {expected.id.name})


def _own_faults(selected: JSON, expected: Expected) -> Iterator[str]:
    if (selected or {}).get(VARIANT) != expected.labels[VARIANT]:
        yield f"it must select {VARIANT} {expected.labels[VARIANT]} alone"


def _host_faults(hosts: Iterable[JSON], expected: Expected) -> Iterator[str]:
    for host in hosts:
        if host != expected.host:
            yield f"its host must be {expected.host or 'left out'}, and is {host}"


def _path_faults(path: JSON, expected: Expected) -> Iterator[str]:
    if path not in expected.paths:
        yield f"the path {path} is not its deployment's ({', '.join(sorted(expected.paths))})"


def _backend_faults(name: JSON, allowed: Iterable[str]) -> Iterator[str]:
    if name not in allowed:
        yield f"it leads to {name}, which does not serve this deployment"


CHECKS = {
    "Deployment": _deployment_faults,
    "Service": _service_faults,
    "HorizontalPodAutoscaler": _scaler_faults,
    "PodDisruptionBudget": _budget_faults,
    "ServiceMonitor": _monitor_faults,
    "HTTPRoute": _route_faults,
    "Ingress": _ingress_faults,
}
