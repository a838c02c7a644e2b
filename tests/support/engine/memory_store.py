"""A store that keeps only which versions it was given; for the engine's laws, beside the memory target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.artifacts.protocol import Content, Report, StoreError, VersionRef
from runtime.manifest import Manifest


@dataclass
class MemoryStore:
    refs: dict[VersionRef, Manifest] = field(default_factory=dict)
    before: Callable[[VersionRef], None] = lambda ref: None
    location: str = "memory"
    unlisted: set[str] = field(default_factory=set)  # tenants whose listing fails

    def list(self, tenant: str) -> Sequence[VersionRef]:
        if tenant in self.unlisted:
            raise StoreError("Store can't be read", f"The prefix of {tenant} is denied.")
        return [ref for ref in self.refs if ref.tenant == tenant]

    def manifest(self, ref: VersionRef) -> Manifest:
        if ref not in self.refs:
            raise StoreError("Version is not in the store")
        return self.refs[ref]

    def put(self, ref: VersionRef, manifest: Manifest, files: Mapping[str, Content], report: Report) -> None:
        self.before(ref)
        for file in files.values():
            with file.open() as chunks:
                for chunk in chunks:
                    report(len(chunk))
        self.refs[ref] = manifest

    def fetch(self, ref: VersionRef, cache: Path) -> Path:
        return cache / self.manifest(ref).digest

    def remove(self, ref: VersionRef) -> None:
        self.refs.pop(ref, None)
