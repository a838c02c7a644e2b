"""Desired variants and deployments in the words of the chart templates/model-serving. Pure; called by `renderer.py`.

What a spec says wins over a tenant's overlay of values, that over the overlay for all, that over the chart's defaults.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import orjson

from reconciler.model.resources import JSON, DesiredDeployment, DesiredVariant, SecretRef
from reconciler.targets.kubernetes.objects.identity import MANAGER
from reconciler.targets.kubernetes.rendering.errors import RenderError
from reconciler.targets.kubernetes.tenancy.objects import (
    PULL_SECRET,
    SERVICE_ACCOUNT,
    STORE_SECRET,
    namespace_of,
    secret_copies,
)
from specs.models.cluster import Routing
from specs.models.platform import Platform
from specs.models.quantities import format_cpu, format_memory

Values = dict[str, JSON]

FETCH_SLACK_BYTES = 64 * 2**20  # beside the files: the manifest, and what a resumed fetch leaves
STARTUP_PROBES = 600  # one a second, as the chart has it; more where a spec gives a variant longer
MAX_CHECKS_BYTES = 96 * 1024  # Linux takes 128 KiB for one variable

_SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")  # RFC 1035, which Services were held to until 1.35


def shared_values(platform: Platform, *, monitors: bool) -> Values:
    """What all entries have in common. `monitors`: whether the cluster serves ServiceMonitors."""
    kubernetes = platform.kubernetes
    namespace, _, gateway = (kubernetes.gateway or "/").partition("/")
    routing: Values = {"kind": str(kubernetes.routing)}
    if kubernetes.routing is Routing.GATEWAY:
        routing["gateway"] = {"name": gateway, "namespace": namespace}
    if kubernetes.host:
        routing["host"] = kubernetes.host
    ours: Values = {
        "installation": platform.installation,
        "managedBy": MANAGER,
        "store": _store(platform),
        "storage": {"artifacts": format_memory(_artifact_bytes(platform))},
        "serviceAccountName": SERVICE_ACCOUNT,
        "serviceMonitor": {"mode": "always" if monitors else "never"},
        "routing": routing,
    }
    return merged(kubernetes.values, ours)


def variant_values(platform: Platform, variant: DesiredVariant) -> Values:
    """One entry of the chart's `variants`. RenderError for what a pod can't have."""
    tenant = variant.id.tenant
    _check_name(variant.deployment.name)
    amounts = {"cpu": format_cpu(variant.cpu_millicores), "memory": format_memory(variant.memory_bytes)}
    timeouts = {
        "request": _number(variant.request_seconds),
        "drain": _number(variant.drain_seconds),
        "ready": math.ceil(variant.ready_seconds),
    }
    ours: Values = {
        **_identity(platform, tenant, variant.name),
        "deployment": variant.deployment.name,
        "model": {"name": variant.model, "version": variant.version_name, "digest": variant.digest},
        "image": variant.runtime,
        "replicas": {"min": variant.replicas.min, "max": variant.replicas.max},
        "resources": {"requests": amounts, "limits": amounts},
        "threads": max(1, math.ceil(variant.cpu_millicores / 1000)),
        "timeouts": timeouts,
        "env": {name: _env(name, value) for name, value in variant.env.items()},
        **_access(platform, tenant),
    }
    if variant.checks:
        ours["checks"] = _checks(variant)
    if timeouts["ready"] > STARTUP_PROBES:
        ours["probes"] = {"startup": {"failureThreshold": timeouts["ready"]}}
    return merged(overlay(platform, tenant), ours)


def deployment_values(platform: Platform, deployment: DesiredDeployment, variants: Iterable[DesiredVariant]) -> Values:
    """One entry of the chart's `deployments`. RenderError for a name that no Service can have."""
    tenant = deployment.id.tenant
    _check_name(deployment.name)
    seconds = max((variant.request_seconds for variant in variants), default=0)
    ours: Values = {
        **_identity(platform, tenant, deployment.name),
        "backends": [{"variant": variant.name, "weight": weight} for variant, weight in deployment.weights.items()],
        "timeouts": {"request": _number(seconds)},
        "routing": {"kind": str(platform.kubernetes.routing)},
    }
    return merged(overlay(platform, tenant), ours)


def overlay(platform: Platform, tenant: str) -> Values:
    """What the operator says of the chart for this tenant alone."""
    grant = platform.tenants.get(tenant)
    return (grant.values if grant else None) or {}


def merged(under: Mapping[str, JSON], over: Mapping[str, JSON]) -> Values:
    """Mappings merged to any depth; for any other value `over` wins."""
    found = dict(under)
    for key, value in over.items():
        below = found.get(key)
        found[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return found


def _identity(platform: Platform, tenant: str, name: str) -> Values:
    return {"name": name, "tenant": tenant, "namespace": namespace_of(platform, tenant)}


def _store(platform: Platform) -> Values:
    store = platform.artifact_store
    if store.pod_url is None:
        raise RenderError(
            "A store that pods can't reach",
            "On Kubernetes artifacts are in S3: write `artifactStore: {type: s3, bucket: …}` in platform.yaml.",
        )
    found: Values = {"bucket": store.bucket, "pathStyle": store.path_style}
    found |= {"prefix": store.prefix} if store.prefix else {}
    endpoint = store.pod_endpoint or store.endpoint
    found |= {"endpoint": endpoint} if endpoint else {}
    return found | ({"region": store.region} if store.region else {})


def _access(platform: Platform, tenant: str) -> Values:
    """The Secrets of the tenant's namespace that its pods need; where there are none, the chart has none either."""
    copied = {copy.name for copy in secret_copies(platform, tenant)}
    found: Values = {}
    if STORE_SECRET in copied:
        found["store"] = {"secret": STORE_SECRET}
    if PULL_SECRET in copied:
        found["imagePullSecrets"] = [{"name": PULL_SECRET}]
    return found


def _artifact_bytes(platform: Platform) -> int:
    return platform.limits.artifact_bytes + platform.limits.requirements_bytes + FETCH_SLACK_BYTES


def _env(name: str, value: str | SecretRef) -> JSON:
    if not isinstance(value, SecretRef):
        return value
    if value.secret in (STORE_SECRET, PULL_SECRET):
        raise RenderError(
            "A Secret of the platform",
            f"`env: {{{name}: …}}` refers to the Secret {value.secret}, by which the platform fetches models and "
            "images. Refer to a Secret of the tenant's own.",
        )
    return {"secret": value.secret, "key": value.key}


def _checks(variant: DesiredVariant) -> str:
    """As text, because the chart would read 1.0 as 1."""
    encoded = orjson.dumps(variant.checks)
    if len(encoded) > MAX_CHECKS_BYTES:
        raise RenderError(
            "Checks are too large",
            f"The checks of deployment '{variant.deployment.name}' have {len(encoded)} bytes; a pod takes at most "
            f"{MAX_CHECKS_BYTES}. Ask about fewer rows.",
        )
    return encoded.decode()


def _check_name(deployment: str) -> None:
    if not _SERVICE_NAME.fullmatch(deployment):
        raise RenderError(
            "No name for a Service",
            f"Deployment '{deployment}' can't run on Kubernetes under this name: a Service's name starts with a "
            "letter. Rename the deployment.",
        )


def _number(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds
