"""Specs, platform and the contents of versions in, the desired graph out. Pure.

Called by `reconcile.py` once the digests of all artifacts are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from reconciler.model.graph_digest import sha256_digest
from reconciler.model.resources import (
    JSON,
    Desired,
    DesiredDeployment,
    DesiredTenant,
    DesiredVariant,
    DesiredVersion,
    Replicas,
    ResourceId,
    SecretRef,
    deployment_id,
    tenant_id,
    variant_id,
    version_id,
)

if TYPE_CHECKING:  # pydantic models: only their users have to load them
    from specs.models.platform import Platform
    from specs.models.tenant import DeploymentSpec
    from specs.models.tenant import SecretRef as SpecSecretRef

VARIANT_HASH_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Compilable:
    """One healthy tenant: its deployments as written, and its versions with their contents known."""

    name: str
    deployments: Mapping[str, DeploymentSpec]
    versions: Mapping[ResourceId, DesiredVersion]


def compile_graph(
    tenants: Iterable[Compilable],
    platform: Platform,
    runtime: str,
    protected: frozenset[str] | None = frozenset(),
    release: str = "",
) -> Desired:
    """The desired graph of all healthy tenants. `runtime` identifies what runs variants (the target's); `release` is
    KubeServe's own version."""
    owners: dict[ResourceId, DesiredTenant] = {}
    versions: dict[ResourceId, DesiredVersion] = {}
    deployments: dict[ResourceId, DesiredDeployment] = {}
    variants: dict[ResourceId, DesiredVariant] = {}
    for tenant in tenants:
        owner = tenant_id(tenant.name)
        owners[owner] = DesiredTenant(owner, tenant_settings(platform, tenant.name))
        versions.update(tenant.versions)
        for name, spec in tenant.deployments.items():
            weights = {}
            for variant, weight in _variants(tenant, name, spec, runtime):
                variants[variant.id] = variant
                weights[variant.id] = weight
            deployment = deployment_id(tenant.name, name)
            deployments[deployment] = DesiredDeployment(deployment, spec.model, weights)
    basis = sha256_digest(f"{release} {platform.model_dump_json()}".encode())
    return Desired(owners, versions, deployments, variants, protected, removed_tenants(platform), basis)


def removed_tenants(platform: Platform) -> frozenset[str]:
    return frozenset(name for name, grant in platform.tenants.items() if grant.state == "removed")


def tenant_settings(platform: Platform, tenant: str) -> Mapping[str, JSON]:
    grant = platform.tenants.get(tenant)
    return grant.model_dump(mode="json", by_alias=True, exclude_none=True) if grant else {}


def _variants(tenant: Compilable, name: str, spec: DeploymentSpec, runtime: str) -> list[tuple[DesiredVariant, int]]:
    found = []
    checks = tuple(check.model_dump(mode="json", exclude_none=True) for check in spec.checks)
    env = {key: _env_value(value) for key, value in spec.env.items()}
    for version_name, weight in spec.weights.items():
        version = tenant.versions[version_id(tenant.name, spec.model, version_name)]
        content = {
            "tenant": tenant.name,
            "deployment": name,
            "model": spec.model,
            "version": version_name,
            "digest": version.digest,
            "env": {key: asdict(value) if isinstance(value, SecretRef) else value for key, value in env.items()},
            "cpu": spec.resources.cpu_millicores,
            "memory": spec.resources.memory_bytes,
            "checks": checks,
            "request": spec.timeouts.request,
            "drain": spec.timeouts.drain,
            "runtime": runtime,
        }
        variant = DesiredVariant(
            id=variant_id(tenant.name, f"{name}-{_short_hash(content)}"),
            deployment=deployment_id(tenant.name, name),
            version=version.id,
            model=spec.model,
            version_name=version_name,
            digest=version.digest,
            env=env,
            cpu_millicores=spec.resources.cpu_millicores,
            memory_bytes=spec.resources.memory_bytes,
            checks=checks,
            request_seconds=spec.timeouts.request,
            drain_seconds=spec.timeouts.drain,
            runtime=runtime,
            replicas=Replicas(spec.replicas.min, spec.replicas.max),
            ready_seconds=spec.timeouts.ready,
        )
        found.append((variant, weight))
    return found


def _env_value(value: str | SpecSecretRef) -> str | SecretRef:
    return value if isinstance(value, str) else SecretRef(value.secret, value.key)


def _short_hash(content: JSON) -> str:
    encoded = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(encoded).hexdigest()[:VARIANT_HASH_LENGTH]
