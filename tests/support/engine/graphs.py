"""Desired graphs for tests, from a few words: `graph({"fraud/churn": "v1", "fraud/risk": {"v1": 90, "v2": 10}})`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from reconciler.model.resources import (
    Desired,
    DesiredDeployment,
    DesiredTenant,
    DesiredVariant,
    DesiredVersion,
    FileOrigin,
    Replicas,
    ResourceId,
    deployment_id,
    tenant_id,
    variant_id,
    version_id,
)
from runtime.formats import Format
from runtime.manifest import FileEntry, Manifest

Traffic = str | Mapping[str, int]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def version(tenant: str, model: str, name: str) -> DesiredVersion:
    content = sha256(f"{tenant}/{model}/{name}")
    manifest = Manifest(Format.JOBLIB, FileEntry("model.joblib", content), None)
    origin = FileOrigin("here", f"{model}-{name}.joblib", content, 1000)
    return DesiredVersion(version_id(tenant, model, name), model, name, manifest.digest, manifest, origin)


def variant(tenant: str, deployment: str, of: DesiredVersion, replicas: int = 1, level: str = "info") -> DesiredVariant:
    short = sha256(f"{of.digest} {of.version} {level}")[:10]
    return DesiredVariant(
        id=variant_id(tenant, f"{deployment}-{short}"),
        deployment=deployment_id(tenant, deployment),
        version=of.id,
        model=of.model,
        version_name=of.version,
        digest=of.digest,
        env={"LEVEL": level},
        cpu_millicores=500,
        memory_bytes=512 << 20,
        checks=(),
        request_seconds=30,
        drain_seconds=1,
        runtime="memory/1",
        replicas=Replicas(replicas, replicas),
        ready_seconds=5,
    )


def graph(
    deployments: Mapping[str, Traffic],
    *,
    replicas: int = 1,
    level: str = "info",
    protected: frozenset[str] | None = frozenset(),
    removed: frozenset[str] = frozenset(),
) -> Desired:
    """`tenant/deployment` -> its version or traffic; each deployment serves the model of its own name."""
    tenants: dict[ResourceId, DesiredTenant] = {}
    versions: dict[ResourceId, DesiredVersion] = {}
    wanted: dict[ResourceId, DesiredDeployment] = {}
    variants: dict[ResourceId, DesiredVariant] = {}
    for path, traffic in deployments.items():
        tenant, name = path.split("/")
        tenants[tenant_id(tenant)] = DesiredTenant(tenant_id(tenant))
        weights = {}
        for version_name, weight in ({traffic: 100} if isinstance(traffic, str) else traffic).items():
            of = version(tenant, name, version_name)
            versions[of.id] = of
            one = variant(tenant, name, of, replicas, level)
            variants[one.id] = one
            weights[one.id] = weight
        wanted[deployment_id(tenant, name)] = DesiredDeployment(deployment_id(tenant, name), name, weights)
    return Desired(tenants, versions, wanted, variants, protected, removed)
