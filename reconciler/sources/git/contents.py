"""Contents of a repository's files, from the object database or from Git LFS.

In: an entry of a listing. Out: its first bytes, or a stream of it. If an object can't be read, the mirror is marked
as broken, and the next round creates it again. Called by `source.py` and `artifact.py`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, cast

from reconciler.sources.cachefile import CacheFile
from reconciler.sources.git.command import GitFailed
from reconciler.sources.git.lfs import MAX_POINTER, Pointer, open_lfs, parse_pointer, require_lfs
from reconciler.sources.git.mirror import Mirror
from reconciler.sources.git.objects import SMALL, Blobs, TreeEntry
from reconciler.sources.paths import SourcePath, shown
from reconciler.sources.protocol import CHUNK, SourceError
from runtime.formats import HEAD_SIZE
from specs.untrusted import Untrusted

MAX_HEADS = 20_000
"""Cached first bytes of files: without the cache, each takes a whole file, a process, or a download."""

TINY = 16 * 1024
"""Files up to this size (bytes) are not cached but read again."""


class Contents:
    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._blobs = Blobs(mirror.git)
        self._heads = CacheFile(mirror.folder / "heads.json", MAX_HEADS)

    def pointer(self, path: SourcePath, entry: TreeEntry) -> Pointer | None:
        """The Git LFS pointer in a file, else None. SourceError if nothing here can resolve it."""
        if entry.size > MAX_POINTER:
            return None
        with self._guard(path):
            pointer = parse_pointer(path, self._blobs.read(entry))
        if pointer:
            require_lfs(path)
        return pointer

    def head(self, path: SourcePath, entry: TreeEntry, pointer: Pointer | None) -> bytes:
        """The first HEAD_SIZE bytes."""
        if pointer is None and entry.size <= TINY:
            return self.beginning(path, entry, HEAD_SIZE)
        key = pointer.sha256 if pointer else entry.oid
        if (known := self._known_head(key)) is not None:
            return known
        if pointer is None:
            head = self.beginning(path, entry, HEAD_SIZE)
        else:
            head = b""
            with self.open(path, entry, pointer) as chunks:
                for chunk in chunks:  # to the end, because only there it is verified
                    head = head or chunk[:HEAD_SIZE]
        self._heads.put(key, b64encode(head).decode())
        return head

    def beginning(self, path: SourcePath, entry: TreeEntry, length: int) -> bytes:
        """The first bytes of a file in the object database."""
        with self._guard(path):
            return self._blobs.beginning(entry, length)

    def open(
        self, path: SourcePath, entry: TreeEntry, pointer: Pointer | None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """The whole file, in chunks."""
        return open_lfs(self._mirror, path, pointer) if pointer else self._open_blob(path, entry)

    def open_file(self, path: SourcePath, entry: TreeEntry, pointer: Pointer | None) -> BinaryIO:
        """The whole file, as a file object."""
        return cast(BinaryIO, BufferedReader(_ChunkFile(self.open(path, entry, pointer)), CHUNK))

    def save(self) -> None:
        self._heads.save()

    def close(self) -> None:
        self.save()
        self._blobs.close()

    @contextmanager
    def _open_blob(self, path: SourcePath, entry: TreeEntry) -> Iterator[Iterator[bytes]]:
        if entry.size <= SMALL:
            with self._guard(path):
                content = self._blobs.read(entry)
            yield iter((content,) if content else ())
            return
        with self._blobs.stream(entry) as chunks:
            yield self._guarded(path, chunks)

    def _guarded(self, path: SourcePath, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._guard(path):
            yield from chunks

    @contextmanager
    def _guard(self, path: SourcePath) -> Iterator[None]:
        try:
            yield
        except GitFailed as failure:
            self._mirror.condemn()
            raise SourceError(
                "The mirror is damaged",
                f"{shown(str(path))} can't be read from {self._mirror.git_dir}, which is made anew when the source "
                "is next read.\n"
                f"git: {Untrusted(failure.stderr).cut(300)}",
                retryable=True,
            ) from failure

    def _known_head(self, key: str) -> bytes | None:
        encoded = self._heads.get(key)
        try:
            return None if encoded is None else b64decode(encoded, validate=True)
        except Base64Error:
            return None


class _ChunkFile(RawIOBase):
    """Chunks that a context manager yields, as a raw file; closing it ends the context."""

    def __init__(self, opened: AbstractContextManager[Iterator[bytes]]) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._chunks = self._stack.enter_context(opened)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._stack.close()
        super().close()
