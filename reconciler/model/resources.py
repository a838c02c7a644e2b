"""The nodes of the desired graph and their identities.

The desired-state stages build these from specs, platform and digests; the plan compares them with what a target
observed; targets and stores act on them. Plain frozen data: no I/O here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from runtime.manifest import Manifest

JSON = Any


class Kind(StrEnum):
    TENANT = "tenant"
    VERSION = "version"
    DEPLOYMENT = "deployment"
    VARIANT = "variant"


@dataclass(frozen=True, slots=True, order=True)
class ResourceId:
    """One node of a graph: `tenant/fraud`, `version/fraud/churn/v1`, `deployment/fraud/churn`, ..."""

    kind: Kind
    tenant: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.tenant}/{self.name}" if self.name else f"{self.kind}/{self.tenant}"

    @classmethod
    def parse(cls, text: str) -> ResourceId:
        """Inverse of `str()`. Raises ValueError for anything else."""
        kind, _, rest = text.partition("/")
        tenant, _, name = rest.partition("/")
        if not tenant or bool(name) == (kind == Kind.TENANT):
            raise ValueError(f"not a resource id: {text!r}")
        return cls(Kind(kind), tenant, name)


def tenant_id(tenant: str) -> ResourceId:
    return ResourceId(Kind.TENANT, tenant)


def version_id(tenant: str, model: str, version: str) -> ResourceId:
    return ResourceId(Kind.VERSION, tenant, f"{model}/{version}")


def deployment_id(tenant: str, deployment: str) -> ResourceId:
    return ResourceId(Kind.DEPLOYMENT, tenant, deployment)


def variant_id(tenant: str, variant: str) -> ResourceId:
    return ResourceId(Kind.VARIANT, tenant, variant)


def deployment_of(variant: ResourceId) -> ResourceId:
    """By its name, which is the deployment's and a hash."""
    return deployment_id(variant.tenant, variant.name.rpartition("-")[0])


@dataclass(frozen=True)
class Scope:
    """What a round is narrowed to: whole tenants, and single deployments. Nothing chosen means everything."""

    chosen: frozenset[ResourceId] = frozenset()

    @classmethod
    def of(cls, *names: str) -> Scope:
        """Each name is TENANT or TENANT/DEPLOYMENT. ValueError, with the name, for anything else."""
        chosen = set()
        for name in names:
            tenant, slash, deployment = name.partition("/")
            if not tenant or (slash and not deployment) or "/" in deployment:
                raise ValueError(name)
            chosen.add(deployment_id(tenant, deployment) if deployment else tenant_id(tenant))
        return cls(frozenset(chosen))

    @property
    def names(self) -> tuple[str, ...]:
        """Inverse of `of`, sorted."""
        return tuple(sorted(f"{r.tenant}/{r.name}" if r.name else r.tenant for r in self.chosen))

    @cached_property
    def tenants(self) -> frozenset[str]:
        """The tenants of which something is inside; none means all."""
        return frozenset(resource.tenant for resource in self.chosen)

    def is_whole(self, tenant: str) -> bool:
        """Whether everything of a tenant is inside, and not only some of its deployments."""
        return not self.chosen or tenant_id(tenant) in self.chosen

    def __contains__(self, resource: ResourceId) -> bool:
        """Whether a tenant or deployment is inside; versions and variants follow their deployment."""
        if self.is_whole(resource.tenant):
            return True
        return resource in self.chosen if resource.kind is Kind.DEPLOYMENT else resource.tenant in self.tenants


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """Where the bytes of one file of a version come from: a path of a source's revision, or a URL."""

    source: str  # name of the source; "" for a URL
    path: str  # POSIX path from the source's root, or s3://… / https://…
    sha256: str
    size: int | None  # bytes; None where a remote does not tell beforehand
    tenant: str = ""  # whose grants decide what may be fetched from a URL


@dataclass(frozen=True, slots=True)
class DesiredVersion:
    id: ResourceId
    model: str
    version: str
    digest: str  # "sha256:…" of the manifest
    manifest: Manifest | None  # None: named by its digest alone, and so in the store already
    artifact: FileOrigin | None = None
    requirements: FileOrigin | None = None

    @property
    def size(self) -> int:
        """Bytes to upload, as far as they are known before."""
        return sum(origin.size or 0 for origin in (self.artifact, self.requirements) if origin)


@dataclass(frozen=True, slots=True)
class SecretRef:
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Replicas:
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class DesiredVariant:
    """What runs. Everything that reaches its process is in its name's hash; replicas are not."""

    id: ResourceId
    deployment: ResourceId
    version: ResourceId
    model: str
    version_name: str
    digest: str  # the version's
    env: Mapping[str, str | SecretRef]
    cpu_millicores: int
    memory_bytes: int
    checks: tuple[JSON, ...]  # {"inputs": …, "outputs": …, "tolerance": …}, as the runtime reads them
    request_seconds: float
    drain_seconds: float
    runtime: str  # which runtime runs it: an image, or our own version on the local target
    replicas: Replicas
    ready_seconds: float  # how long it may take to become ready

    @property
    def name(self) -> str:
        return self.id.name


@dataclass(frozen=True, slots=True)
class DesiredDeployment:
    id: ResourceId
    model: str
    weights: Mapping[ResourceId, int]  # variant -> percent; they add up to 100

    @property
    def name(self) -> str:
        return self.id.name


@dataclass(frozen=True, slots=True)
class DesiredTenant:
    """A tenant and what the operator grants it (`settings`: the tenant's part of platform.yaml, as JSON)."""

    id: ResourceId
    settings: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Desired:
    """All that the specs ask for. `protected` tenants failed to load in part or whole: nothing of theirs
    is deleted. `None`: some file's tenant could not even be read, so nothing of any tenant is deleted."""

    tenants: Mapping[ResourceId, DesiredTenant]
    versions: Mapping[ResourceId, DesiredVersion]
    deployments: Mapping[ResourceId, DesiredDeployment]
    variants: Mapping[ResourceId, DesiredVariant]
    protected: frozenset[str] | None = frozenset()
    removed: frozenset[str] = frozenset()  # tenants that the operator removes (`state: removed`)
    basis: str = ""  # digest of what else decides how all of this is carried out: platform.yaml, our own version

    def of_tenants(self, tenants: frozenset[str]) -> Desired:
        """The part of these tenants; of all, where none is named."""
        if not tenants:
            return self
        return replace(
            self,
            tenants={r: v for r, v in self.tenants.items() if r.tenant in tenants},
            versions={r: v for r, v in self.versions.items() if r.tenant in tenants},
            deployments={r: v for r, v in self.deployments.items() if r.tenant in tenants},
            variants={r: v for r, v in self.variants.items() if r.tenant in tenants},
        )

    def is_protected(self, tenant: str) -> bool:
        return self.protected is None or tenant in self.protected

    @cached_property
    def variants_of(self) -> Mapping[ResourceId, tuple[DesiredVariant, ...]]:
        """The variants of each deployment, in the order of its weights."""
        return {d.id: tuple(self.variants[v] for v in d.weights) for d in self.deployments.values()}
