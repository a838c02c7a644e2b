"""The artifacts of a commit: a file, or a folder that is packed while it is read.

In: a listing and a checked path. Out: a SourceArtifact, identified by the ids of its objects. Called by `source.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from reconciler.sources.git.contents import Contents
from reconciler.sources.git.lfs import Pointer
from reconciler.sources.git.objects import Listing, TreeEntry
from reconciler.sources.paths import MAX_FOLDER_FILES, SourcePath, is_packed, shown
from reconciler.sources.protocol import SourceArtifact, SourceError
from runtime.errors import PackError
from runtime.packing import PackEntry, pack, packed_size


def git_artifact(listing: Listing, contents: Contents, path: SourcePath) -> SourceArtifact:
    """SourceError if nothing readable is there, or only a Git LFS pointer that can't be resolved."""
    entry = listing.find(path)
    if entry is None:
        return _Folder(listing, contents, path).artifact()
    pointer = contents.pointer(path, entry)
    return SourceArtifact(
        path=str(path),
        is_folder=False,
        size=pointer.size if pointer else entry.size,
        identity=f"lfs:{pointer.sha256}" if pointer else f"git:{entry.oid}",
        read_head=lambda: contents.head(path, entry, pointer),
        open=lambda: contents.open(path, entry, pointer),
        sha256=pointer.sha256 if pointer else None,
    )


@dataclass(frozen=True, slots=True)
class _File:
    name: str  # its path from the folder
    path: SourcePath
    entry: TreeEntry
    pointer: Pointer | None

    @property
    def size(self) -> int:
        return self.pointer.size if self.pointer else self.entry.size


class _Folder:
    def __init__(self, listing: Listing, contents: Contents, path: SourcePath) -> None:
        self._contents = contents
        self._path = path
        self._files = list(self._packed(listing))
        if not self._files:
            raise path.empty()

    def artifact(self) -> SourceArtifact:
        entries = [PackEntry(f.name, f.entry.is_executable, f.size, self._opener(f)) for f in self._files]
        with self._as_source_error():
            size = packed_size(entries)
        lines = "\0".join(f"{f.entry.is_executable} {f.entry.oid} {f.name}" for f in self._files)
        return SourceArtifact(
            path=str(self._path),
            is_folder=True,
            size=size,
            identity=f"git-folder:{hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}",
            read_head=lambda: b"",
            open=lambda: self._open(entries),
        )

    @contextmanager
    def _open(self, entries: Sequence[PackEntry]) -> Iterator[Iterator[bytes]]:
        yield self._chunks(entries)

    def _chunks(self, entries: Sequence[PackEntry]) -> Iterator[bytes]:
        with self._as_source_error():
            yield from pack(entries)

    def _opener(self, file: _File) -> Callable[[], BinaryIO]:
        return lambda: self._contents.open_file(file.path, file.entry, file.pointer)

    def _packed(self, listing: Listing) -> Iterator[_File]:
        depth = len(self._path.parts)
        count = 0
        for path, entry in listing.below(self._path):
            if not all(map(is_packed, path.parts[depth:])):
                continue
            entry.refuse_special(path, len(path.parts) - 1)
            count += 1
            if count > MAX_FOLDER_FILES:
                raise self._path.too_many_files()
            yield _File("/".join(path.parts[depth:]), path, entry, self._contents.pointer(path, entry))

    @contextmanager
    def _as_source_error(self) -> Iterator[None]:
        try:
            yield
        except PackError as error:
            raise SourceError("The folder can't be packed", f"{shown(str(self._path))}: {error}.") from error
