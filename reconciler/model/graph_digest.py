"""Digests: of bytes, and of a desired graph, which bind saved plans and records to what the specs asked for. Pure."""

from __future__ import annotations

import hashlib

import orjson

from reconciler.model.resources import (
    JSON,
    Desired,
    DesiredDeployment,
    DesiredTenant,
    DesiredVariant,
    DesiredVersion,
)


def graph_digest(desired: Desired) -> str:
    """Pins the whole graph: two equal digests ask for exactly the same."""
    lines = [
        b"%s %s" % (str(resource.id).encode(), orjson.dumps(_jsonable(resource), option=orjson.OPT_SORT_KEYS))
        for group in (desired.tenants, desired.versions, desired.deployments, desired.variants)
        for resource in group.values()
    ]
    protected = ["*"] if desired.protected is None else sorted(desired.protected)
    lines.append(orjson.dumps([protected, sorted(desired.removed), desired.basis]))
    return sha256_digest(b"\n".join(sorted(lines)))


def deployment_digest(desired: Desired, deployment: DesiredDeployment) -> str:
    """Pins what one deployment asks for: its variants (each name is a digest), weights and replicas."""
    content = [
        [variant.name, deployment.weights[variant.id], variant.replicas.min, variant.replicas.max]
        for variant in desired.variants_of[deployment.id]
    ]
    return sha256_digest(orjson.dumps(content))


def sha256_digest(content: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def short_hash(content: bytes, length: int) -> str:
    """The first `length` hex digits of the sha256."""
    return hashlib.sha256(content).hexdigest()[:length]


def _jsonable(resource: DesiredTenant | DesiredVersion | DesiredDeployment | DesiredVariant) -> JSON:
    if isinstance(resource, DesiredVersion):
        return [resource.digest, resource.manifest is None]
    if isinstance(resource, DesiredDeployment):
        return [resource.model, {variant.name: weight for variant, weight in resource.weights.items()}]
    if isinstance(resource, DesiredVariant):  # its name is a digest of all but these
        return [resource.replicas.min, resource.replicas.max, resource.ready_seconds]
    return resource.settings
