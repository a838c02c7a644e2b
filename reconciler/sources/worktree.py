"""The artifacts of a directory: a file, or a folder that is packed while it is read.

In: a folder on this machine and a checked path. Out: a SourceArtifact whose streams end with an error if a file was
written while it was read. Called by `directory.py`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from reconciler.sources.paths import MAX_FOLDER_FILES, SourcePath, is_packed, shown
from reconciler.sources.protocol import CHUNK, SourceArtifact, SourceError
from reconciler.sources.safe_open import Stamp, look, names_in, open_file, open_file_in, open_folder, open_folder_in
from runtime.errors import PackError
from runtime.formats import HEAD_SIZE, is_lfs_pointer
from runtime.packing import PackEntry, pack, packed_size

RACY_NS = 2_000_000_000
"""A file written less than one tick of the coarsest file system clock (FAT: 2 s) before its status was read can be
written again without a visible change. Git calls such files racily clean."""

Clock = Callable[[], int]
"""Nanoseconds since the epoch."""

_FIX = "Fetch it with `git lfs pull`"


def directory_artifact(root: Path, path: SourcePath, clock: Clock) -> SourceArtifact:
    """SourceError if nothing readable is there, or only a Git LFS pointer."""
    now = clock()
    with open_folder(root, SourcePath(path.parts[:-1])) as folder:
        is_folder = stat.S_ISDIR(look(folder, path).st_mode)
    return _Folder(root, path).artifact(now) if is_folder else _file_artifact(root, path, now)


def _file_artifact(root: Path, path: SourcePath, now: int) -> SourceArtifact:
    with open_file(root, path) as (descriptor, stamp):
        head = os.pread(descriptor, HEAD_SIZE, 0)
    if is_lfs_pointer(head):
        raise path.lfs_pointer(_FIX)

    @contextmanager
    def open_() -> Iterator[Iterator[bytes]]:
        with open_file(root, path) as (descriptor, current):
            _require_same(path, stamp, current)
            yield _chunks(descriptor, path, stamp)

    return SourceArtifact(
        path=str(path),
        is_folder=False,
        size=stamp.size,
        identity=_identity("file", root, path, [("", stamp)]),
        read_head=lambda: head,
        open=open_,
        settled=stamp.newest_ns + RACY_NS < now,
    )


def _chunks(descriptor: int, path: SourcePath, stamp: Stamp) -> Iterator[bytes]:
    while chunk := os.read(descriptor, CHUNK):
        yield chunk
    _require_same(path, stamp, Stamp.of(os.fstat(descriptor)))


class _Folder:
    """A folder with a Python predictor. Its files are listed again on every access."""

    def __init__(self, root: Path, path: SourcePath) -> None:
        self._root = root
        self._path = path

    def artifact(self, now: int) -> SourceArtifact:
        files = self._files()
        if not files:
            raise self._path.empty()
        with _as_source_error(self._path):
            size = packed_size(self._entries(files))
        return SourceArtifact(
            path=str(self._path),
            is_folder=True,
            size=size,
            identity=_identity("folder", self._root, self._path, files),
            read_head=lambda: b"",
            open=lambda: self._open(files),
            settled=max(stamp.newest_ns for _, stamp in files) + RACY_NS < now,
        )

    @contextmanager
    def _open(self, files: Sequence[tuple[str, Stamp]]) -> Iterator[Iterator[bytes]]:
        yield self._chunks(files)

    def _chunks(self, files: Sequence[tuple[str, Stamp]]) -> Iterator[bytes]:
        with _as_source_error(self._path):
            yield from pack(self._entries(files))
        if self._files() != files:
            raise self._path.changed("its files are not those that they were before")

    def _entries(self, files: Sequence[tuple[str, Stamp]]) -> list[PackEntry]:
        return [PackEntry(name, stamp.executable, stamp.size, self._opener(name, stamp)) for name, stamp in files]

    def _opener(self, name: str, stamp: Stamp) -> Callable[[], BinaryIO]:
        path = SourcePath((*self._path.parts, *name.split("/")))

        def open_() -> BinaryIO:
            with open_file(self._root, path) as (descriptor, current):
                _require_same(path, stamp, current)
                return os.fdopen(os.dup(descriptor), "rb")

        return open_

    def _files(self) -> list[tuple[str, Stamp]]:
        """Every file that is packed, as its path from this folder, with its stamp."""
        found: list[tuple[str, Stamp]] = []
        with open_folder(self._root, self._path) as folder:
            self._collect(folder, self._path, found)
        return found

    def _collect(self, folder: int, at: SourcePath, found: list[tuple[str, Stamp]]) -> None:
        for name in filter(is_packed, names_in(folder, at)):
            path = at / name
            if stat.S_ISDIR(look(folder, path).st_mode):
                with open_folder_in(folder, path) as inner:
                    self._collect(inner, path, found)
                continue
            descriptor = open_file_in(folder, path)
            try:
                stamp = Stamp.of(os.fstat(descriptor))
                if is_lfs_pointer(os.pread(descriptor, HEAD_SIZE, 0)):
                    raise path.lfs_pointer(_FIX)
            finally:
                os.close(descriptor)
            found.append(("/".join(path.parts[len(self._path.parts) :]), stamp))
            if len(found) > MAX_FOLDER_FILES:
                raise self._path.too_many_files()


@contextmanager
def _as_source_error(path: SourcePath) -> Iterator[None]:
    try:
        yield
    except PackError as error:
        raise SourceError("The folder can't be packed", f"{shown(str(path))}: {error}.") from error


def _require_same(path: SourcePath, before: Stamp, now: Stamp) -> None:
    if before != now:
        raise path.changed("somebody wrote to it")


def _identity(kind: str, root: Path, path: SourcePath, files: Sequence[tuple[str, Stamp]]) -> str:
    lines = [str(root), str(path), *(f"{name} {stamp}" for name, stamp in files)]
    return f"{kind}:{hashlib.sha256(os.fsencode(chr(0).join(lines))).hexdigest()}"
