"""Specs, platform and the contents of versions in, the desired graph out. Pure.

The last stage of the desired state, once the digests of all artifacts are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from reconciler.model.graph_digest import sha256_digest, short_hash
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
    from specs.loading.loader import TenantSpec
    from specs.models.platform import Platform
    from specs.models.tenant import DeploymentSpec, SecretRefSpec

VARIANT_HASH_LENGTH = 10


def compile_graph(
    tenants: Iterable[TenantSpec],
    versions_of: Mapping[str, Mapping[ResourceId, DesiredVersion]],
    platform: Platform,
    runtime: str,
    protected: frozenset[str] | None = frozenset(),
    release: str = "",
) -> Desired:
    """The desired graph of all healthy tenants. `versions_of`: the versions of each, with their digests. `runtime`
    identifies what runs variants (the target's); `release` is KubeServe's own version."""
    owners: dict[ResourceId, DesiredTenant] = {}
    versions: dict[ResourceId, DesiredVersion] = {}
    deployments: dict[ResourceId, DesiredDeployment] = {}
    variants: dict[ResourceId, DesiredVariant] = {}
    for tenant in tenants:
        owner = tenant_id(tenant.name)
        owners[owner] = DesiredTenant(owner, tenant_settings(platform, tenant.name))
        versions.update(versions_of[tenant.name])
        for loaded in tenant.deployments.values():
            deployment = deployment_id(tenant.name, loaded.name)
            weights = {}
            for variant, weight in _variants(deployment, loaded.spec, versions, runtime):
                variants[variant.id] = variant
                weights[variant.id] = weight
            deployments[deployment] = DesiredDeployment(deployment, loaded.spec.model, weights)
    basis = sha256_digest(f"{release} {platform.model_dump_json()}".encode())
    return Desired(owners, versions, deployments, variants, protected, removed_tenants(platform), basis)


def removed_tenants(platform: Platform) -> frozenset[str]:
    return frozenset(name for name, grant in platform.tenants.items() if grant.state == "removed")


def tenant_settings(platform: Platform, tenant: str) -> Mapping[str, JSON]:
    grant = platform.tenants.get(tenant)
    return grant.model_dump(mode="json", by_alias=True, exclude_none=True) if grant else {}


def _variants(
    deployment: ResourceId, spec: DeploymentSpec, versions: Mapping[ResourceId, DesiredVersion], runtime: str
) -> Iterator[tuple[DesiredVariant, int]]:
    """Each with its share of the traffic in percent."""
    tenant, name = deployment.tenant, deployment.name
    checks = tuple(check.model_dump(mode="json", exclude_none=True) for check in spec.checks)
    env = {key: _env_value(value) for key, value in spec.env.items()}
    for version_name, weight in spec.weights.items():
        version = versions[version_id(tenant, spec.model, version_name)]
        content = {
            "tenant": tenant,
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
        digest = short_hash(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), VARIANT_HASH_LENGTH)
        variant = DesiredVariant(
            id=variant_id(tenant, f"{name}-{digest}"),
            deployment=deployment,
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
        yield variant, weight


def _env_value(value: str | SecretRefSpec) -> str | SecretRef:
    return value if isinstance(value, str) else SecretRef(value.secret, value.key)
