"""The paths in the run directory. Everything live can be found from here, so losing the state file loses nothing."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.resources import ResourceId, Scope
from reconciler.targets.local.files import make_folder
from reconciler.targets.local.marks import Removal, TenantMark, VariantMark, read


@dataclass(frozen=True, slots=True)
class VariantFolder:
    """The folder of one variant. It appears together with its mark and is removed together with it, by one rename."""

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
        """Exists once traffic was sent to the variant. A variant that is removed without it counts as failed."""
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
        """The gateway's output outside of its log: why it could not start."""
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
        """Whether there is a variant of any installation."""
        return any(self.tenants.glob("*/variants/*/variant.json"))

    def discard(self, folder: Path) -> None:
        """Removes a folder by one rename, so that a kill while its files are deleted leaves no half of it."""
        trash = self.root / "trash"
        make_folder(trash)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(trash / f"{folder.name}-{secrets.token_hex(4)}")
        for left in trash.iterdir():  # also leftovers of a process that was killed here
            shutil.rmtree(left, ignore_errors=True)
