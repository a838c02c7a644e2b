"""The protocol of an artifact store, as the engine, the local target and `kubeserve push` use it.

Layout of every store: `{prefix}{tenant}/{model}/{version}/{digest hex}/` holds a version's files and,
written last, `manifest.json`; a version exists when its manifest does. Versions are immutable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtime.manifest import Manifest, VersionRef
from specs.errors import KubeServeError

__all__ = ["ArtifactStore", "Content", "Manifest", "Report", "StoreError", "VersionRef", "VersionTakenError"]

Report = Callable[[int], None]
"""Called with the number of bytes stored since the last call, in the caller's own thread; negative when a failed try
starts over. An exception that it raises (an interruption) ends the upload and leaves nothing visible."""


class StoreError(KubeServeError):
    """The store refused, is unreachable, or holds something other than it should."""

    code = "store"


class VersionTakenError(StoreError):
    """Another digest is stored under the version's name."""

    code = "version_taken"


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes to store: opened as often as needed (a retry opens it again), read in chunks of a few MiB at most."""

    open: Callable[[], AbstractContextManager[Iterator[bytes]]]
    size: int | None = None  # bytes, if known beforehand


class ArtifactStore(Protocol):
    @property
    def location(self) -> str:
        """For messages: a folder, or `s3://bucket/prefix`. Never holds credentials."""

    def list(self, tenant: str) -> Sequence[VersionRef]:
        """Every complete version of a tenant, with one listing of its prefix."""

    def manifest(self, ref: VersionRef) -> Manifest:
        """The manifest, checked against the digest. StoreError if it is absent or different."""

    def put(self, ref: VersionRef, manifest: Manifest, files: Mapping[str, Content], report: Report) -> None:
        """Stores the files named by the manifest, verifies the stored bytes, writes the manifest last.

        Streams; never holds a file in memory. Bytes that differ from the manifest's sha256 are refused
        and leave nothing visible. Idempotent: a version that is complete already is left as it is; one
        stored under the same name with another digest is an error that says to name a new version.
        """

    def fetch(self, ref: VersionRef, cache: Path) -> Path:
        """A local folder with the version's verified files and its manifest. A store on this machine may
        answer with its own folder; others download into `cache` atomically and reuse what is there."""

    def remove(self, ref: VersionRef) -> None:
        """Deletes one version, its manifest first. An absent version is no error."""
