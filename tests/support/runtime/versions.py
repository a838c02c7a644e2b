"""Versions to store: their bytes, their manifest, and contents that can be told to fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from reconciler.artifacts.protocol import ArtifactStore, Content, Report, VersionRef
from runtime.formats import Format
from runtime.manifest import Manifest

MIB = 1024 * 1024
MODEL = "model.onnx"
REQUIREMENTS = "requirements.txt"


def silent(_: int) -> None:
    """A report that nobody reads."""


def some_bytes(size: int, seed: int = 0) -> bytes:
    """Incompressible and the same every time."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def content(data: bytes, *, chunk: int = MIB, at_end: Callable[[], None] = lambda: None) -> Content:
    """Bytes in chunks. `at_end` is called after the last one, and may raise."""

    @contextmanager
    def opened() -> Generator[Iterator[bytes]]:
        yield chunks()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(data), chunk):
            yield data[start : start + chunk]
        at_end()

    return Content(opened, len(data))


@dataclass(frozen=True)
class Version:
    """A version of model churn of tenant fraud."""

    model: bytes
    requirements: bytes | None = None
    name: str = "v1"
    tenant: str = "fraud"
    manifest: Manifest = field(init=False)

    def __post_init__(self) -> None:
        texts = None if self.requirements is None else hashlib.sha256(self.requirements).hexdigest()
        manifest = Manifest.of(Format.ONNX, hashlib.sha256(self.model).hexdigest(), texts)
        object.__setattr__(self, "manifest", manifest)

    @property
    def ref(self) -> VersionRef:
        return VersionRef(self.tenant, "churn", self.name, self.manifest.digest)

    @property
    def files(self) -> dict[str, bytes]:
        return {MODEL: self.model} | ({} if self.requirements is None else {REQUIREMENTS: self.requirements})

    @property
    def contents(self) -> dict[str, Content]:
        return {name: content(data) for name, data in self.files.items()}

    def put(self, store: ArtifactStore, report: Report = silent) -> VersionRef:
        store.put(self.ref, self.manifest, self.contents, report)
        return self.ref
