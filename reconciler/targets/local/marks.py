"""The marks in the run directory: they record which tenants and variants are live, and which removals have begun.

A mark that can't be read, or that another user owns, is ignored and left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from reconciler.model.resources import ResourceId, deployment_id, tenant_id, variant_id
from reconciler.targets.local.files import read_json, write_json

Mark = TypeVar("Mark")


@dataclass(frozen=True, slots=True)
class TenantMark:
    installation: str
    tenant: str
    created: str  # ISO 8601 in UTC

    @property
    def id(self) -> ResourceId:
        return tenant_id(self.tenant)


@dataclass(frozen=True, slots=True)
class VariantMark:
    installation: str
    tenant: str
    deployment: str
    variant: str
    model: str
    version: str
    digest: str  # the version's
    fields: Mapping[str, str]  # as a plan shows them
    wanted: int  # replicas that should run now
    min_replicas: int
    max_replicas: int
    cpu_millicores: int
    memory_bytes: int
    request_seconds: float
    drain_seconds: float
    created: str

    @property
    def id(self) -> ResourceId:
        return variant_id(self.tenant, self.variant)

    @property
    def deployment_id(self) -> ResourceId:
        return deployment_id(self.tenant, self.deployment)


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal of a variant that has begun. It is on disk, so the next round continues where this one stopped."""

    drain_until: float  # seconds since the epoch; then it is ended with requests in flight


def read(path: Path, kind: type[Mark]) -> Mark | None:
    """The mark in a file; None if there is no file, or no valid mark in it."""
    content = read_json(path)
    try:
        return kind(**content) if content is not None else None
    except TypeError:
        return None


def write(path: Path, mark: Any) -> None:
    """Replaces a mark atomically; it is on disk when this returns."""
    write_json(path, asdict(mark))
