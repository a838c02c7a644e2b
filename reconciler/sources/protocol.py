"""What the round needs of a source. Reads only; nothing is ever checked out or executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from specs.errors import KubeServeError
from specs.loader import SpecFile


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
    """A file or folder (packed deterministically while read) of a revision."""

    path: str  # POSIX, from the source's root
    is_folder: bool
    size: int  # bytes of the stream that `open` yields
    identity: str  # changes when the bytes may have changed; keys the digest cache
    head: bytes  # the first bytes (up to 512), to recognise the format; b"" for a folder
    open: Callable[[], AbstractContextManager[Iterator[bytes]]]


class Source(Protocol):
    @property
    def name(self) -> str:
        """The source's name in platform.yaml."""

    @property
    def location(self) -> str:
        """For messages: the directory or URL, without credentials."""

    def resolve(self) -> Revision:
        """The newest revision; fetches where that is needed. SourceError with a retryable flag."""

    def spec_files(self, revision: Revision) -> Sequence[SpecFile]:
        """Every kubeserve.yaml of the revision, in path order."""

    def artifact(self, revision: Revision, path: str) -> SourceArtifact:
        """Opens nothing yet. SourceError: absent (with the nearest names), a symlink anywhere on the way,
        outside of the source, not a file or folder, or a Git LFS pointer that can't be resolved."""

    def close(self) -> None:
        """Ends helper processes."""
