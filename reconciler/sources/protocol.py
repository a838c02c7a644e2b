"""The protocol of a source. Sources are only read; nothing is ever checked out or executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from specs.errors import KubeServeError

if TYPE_CHECKING:
    from specs.loading.loader import SpecFile

CHUNK = 1024 * 1024
"""Bytes read at a time; an artifact's stream holds at most a few chunks of this size."""


class SourceError(KubeServeError):
    """A source that can't be reached or read, or a path in it that is refused."""

    code = "source"


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a source: a commit, or the digest of a directory's specs."""

    id: str
    label: str  # for people: "main at 3f2a1bc", "this directory"


@dataclass(frozen=True, slots=True)
class SourceArtifact:
    """A file or folder (packed deterministically while read) of a revision.

    Its content has not been read yet. `read_head` and `open` may take long for a file in Git LFS, so callers check
    `size` against the limits first. Both raise SourceError, retryable if the bytes have changed meanwhile.
    """

    path: str  # POSIX, from the source's root
    is_folder: bool
    size: int  # bytes of the stream that `open` yields
    identity: str  # changes when the bytes may have changed; keys the digest cache
    read_head: Callable[[], bytes]  # the first bytes (up to HEAD_SIZE), to recognise the format; b"" for a folder
    open: Callable[[], AbstractContextManager[Iterator[bytes]]]
    sha256: str | None = None  # hex, if known without reading (Git LFS)
    settled: bool = True  # False: changed so recently that another change might not change the identity

    @property
    def head(self) -> bytes:
        return self.read_head()


class Source(Protocol):
    @property
    def name(self) -> str:
        """The source's name in platform.yaml."""

    @property
    def location(self) -> str:
        """For messages: the directory or URL, without credentials."""

    def resolve(self) -> Revision:
        """The newest revision; fetches it if needed. SourceError with a retryable flag."""

    def spec_files(self, revision: Revision) -> Sequence[SpecFile]:
        """Every spec of the revision, in path order. A spec above the size limit is cut just above it."""

    def shown(self, path: str, *, qualified: bool) -> str:
        """A file of the source as the user can open it from the current directory; of a repository, which has no files,
        its path there. `qualified`: with the source's name, because another source may have the same path."""

    def artifact(self, revision: Revision, path: str) -> SourceArtifact:
        """Reads no content yet. SourceError: absent (with the nearest names), a symlink anywhere on the path,
        outside of the source, not a file or folder, or a Git LFS pointer that can't be resolved."""

    def close(self) -> None:
        """Ends helper processes."""
