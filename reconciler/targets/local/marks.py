"""What the run directory says about what is there: where everything lies, and the marks that everything bears.

All that is live can be found from these files alone, so that losing the state file loses nothing. Every mark
is replaced atomically and readable by its owner only; one that can't be read is nobody's and left alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from reconciler.model.resources import ResourceId, Scope, deployment_id, tenant_id, variant_id

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
class Owner:
    """Whose a process is, as its environment says: the mark that is left when its files are gone."""

    installation: str
    tenant: str
    deployment: str
    model: str
    version: str
    variant: str

    @property
    def variant_id(self) -> ResourceId:
        return variant_id(self.tenant, self.variant)

    @property
    def deployment_id(self) -> ResourceId:
        return deployment_id(self.tenant, self.deployment)

    def to_environment(self) -> dict[str, str]:
        return {f"KUBESERVE_{name.upper()}": value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Owner | None:
        try:
            return cls(*(environment[f"KUBESERVE_{name.upper()}"] for name in cls.__slots__))
        except KeyError:
            return None


@dataclass(frozen=True, slots=True)
class Removal:
    """A variant that was asked to go. It outlives who asked: the next one goes on where that one stopped."""

    drain_until: float  # seconds since the epoch; then it is ended with requests in flight


@dataclass(frozen=True, slots=True)
class VariantFolder:
    """The folder of one variant. Its mark comes first and goes with the folder, in one rename."""

    run_dir: Path
    path: Path

    @property
    def mark_file(self) -> Path:
        return self.path / "variant.json"

    @property
    def removal_file(self) -> Path:
        return self.path / "removal.json"

    @property
    def served_file(self) -> Path:
        """Is there once traffic was sent to the variant: what goes without it has failed."""
        return self.path / "served"

    @property
    def checks_file(self) -> Path:
        return self.path / "checks.json"

    @property
    def replicas(self) -> Path:
        return self.path / "replicas"

    def replica(self, token: str) -> Path:
        return self.replicas / token

    def mark(self) -> VariantMark | None:
        return read(self.mark_file, VariantMark)

    def removal(self) -> Removal | None:
        return read(self.removal_file, Removal)


@dataclass(frozen=True, slots=True)
class RunDir:
    root: Path

    @property
    def tenants(self) -> Path:
        return self.root / "tenants"

    @property
    def address_file(self) -> Path:
        return self.root / "address.json"

    @property
    def gateway_output(self) -> Path:
        """What it says outside of its own log: why it could not start."""
        return self.root / "gateway.out"

    def tenant_file(self, tenant: str) -> Path:
        return self.tenants / tenant / "tenant.json"

    def tenant(self, tenant: str) -> TenantMark | None:
        return read(self.tenant_file(tenant), TenantMark)

    def variant(self, variant: ResourceId) -> VariantFolder:
        return VariantFolder(self.root, self.tenants / variant.tenant / "variants" / variant.name)

    def failed(self, tenant: str, deployment: str = "") -> Path:
        return self.root / "failed" / tenant / deployment

    def tenant_marks(self, scope: Scope | None = None) -> Iterator[TenantMark]:
        for path in self._paths(scope, "tenant.json"):
            mark = read(path, TenantMark)
            if mark is not None and mark.tenant == path.parent.name:
                yield mark

    def variant_marks(self, scope: Scope | None = None) -> Iterator[tuple[VariantFolder, VariantMark]]:
        for path in self._paths(scope, "variants/*/variant.json"):
            mark = read(path, VariantMark)
            if mark is None or (mark.tenant, mark.variant) != (path.parents[2].name, path.parent.name):
                continue
            if scope is None or mark.deployment_id in scope:
                yield VariantFolder(self.root, path.parent), mark

    def _paths(self, scope: Scope | None, pattern: str) -> list[Path]:
        tenants = sorted(scope.tenants) if scope else []
        return sorted(path for tenant in tenants or ["*"] for path in self.tenants.glob(f"{tenant}/{pattern}"))

    def has_variants(self) -> bool:
        """Of any installation."""
        return any(self.tenants.glob("*/variants/*/variant.json"))

    def discard(self, folder: Path) -> None:
        """Takes a folder away at once, whatever happens to us while its files are deleted."""
        trash = self.root / "trash"
        make_folder(trash)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(trash / f"{folder.name}-{secrets.token_hex(4)}")
        for left in trash.iterdir():  # also of who was killed here
            shutil.rmtree(left, ignore_errors=True)


def read(path: Path, kind: type[Mark]) -> Mark | None:
    """The mark in a file; None when it is absent or not one."""
    content = read_json(path)
    try:
        return kind(**content) if content is not None else None
    except TypeError:
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write(path: Path, mark: Any) -> None:
    """Replaces a mark as a whole; it is on the disk when this returns."""
    write_json(path, asdict(mark))


def write_json(path: Path, content: Any) -> None:
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(orjson.dumps(content))
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def make_folder(path: Path) -> None:
    """Makes a folder and its missing parents, for the owner only."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
