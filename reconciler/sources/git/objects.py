"""Lists the files of a commit, and reads their contents from the object database.

In: a commit in the mirror. Out: its files by path, and their contents: small files through one long-lived `git
cat-file --batch`, each large file through a process of its own. Called by the other modules here.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import IO, NamedTuple

from reconciler.sources.git.address import OID
from reconciler.sources.git.command import Git, GitFailed, GitOptions, Process
from reconciler.sources.paths import SourcePath
from reconciler.sources.protocol import CHUNK, SourceError

MAX_FILES = 500_000
"""Files of one commit."""

SMALL = CHUNK
"""Files up to this size (bytes) are read whole, through the process that all small files share."""

_ENTRY = re.compile(rb"(\d{6}) (\w+) (" + OID.encode() + rb") +(\d+|-)\t(.+)", re.S)


class TreeEntry(NamedTuple):
    """A file, symlink or submodule."""

    mode: str
    oid: str
    size: int  # bytes; 0 for a submodule

    @property
    def is_file(self) -> bool:
        return self.mode.startswith("100")

    @property
    def is_symlink(self) -> bool:
        return self.mode == "120000"

    @property
    def is_executable(self) -> bool:
        return self.mode == "100755"

    def refuse_special(self, path: SourcePath, depth: int) -> None:
        """SourceError unless the entry is a file; `depth` is the index of its component in `path`."""
        if self.is_symlink:
            raise path.symlink(depth)
        if not self.is_file:
            raise path.submodule(depth)


class Listing:
    """Every file of one commit. Paths that aren't UTF-8 have surrogates for the bytes that aren't."""

    def __init__(self, commit: str, entries: dict[str, TreeEntry]) -> None:
        self.commit = commit
        self.entries = entries
        self._paths = sorted(entries)

    def find(self, path: SourcePath) -> TreeEntry | None:
        """The file at a path, or None for a folder. SourceError for a symlink or submodule anywhere on the path, and
        if the path doesn't exist."""
        last = len(path.parts) - 1
        for depth in range(len(path.parts)):
            entry = self.entries.get("/".join(path.parts[: depth + 1]))
            if entry is not None:
                entry.refuse_special(path, depth)
                if depth < last:
                    raise path.through_a_file(depth)
                return entry
        for depth in range(len(path.parts)):
            if not any(self.below(SourcePath(path.parts[: depth + 1]))):
                raise path.absent(depth, self._names_in(SourcePath(path.parts[:depth])))
        return None

    def below(self, folder: SourcePath) -> Iterator[tuple[SourcePath, TreeEntry]]:
        """Every entry inside a folder, however deep, in path order."""
        prefix = f"{folder}/" if folder.parts else ""
        for index in range(bisect_left(self._paths, prefix), len(self._paths)):
            text = self._paths[index]
            if not text.startswith(prefix):
                return
            yield SourcePath(tuple(text.split("/"))), self.entries[text]

    def _names_in(self, folder: SourcePath) -> set[str]:
        return {path.parts[len(folder.parts)] for path, _ in self.below(folder)}


def read_listing(git: Git, commit: str) -> Listing:
    """The files of a commit, with their sizes. GitFailed if the mirror lacks one of its objects."""
    entries: dict[str, TreeEntry] = {}
    with git.start("ls-tree", "-r", "-l", "-z", "--full-tree", commit) as process:
        for record in _records(process.stdout):
            match = _ENTRY.fullmatch(record)
            if match is None:
                raise GitFailed(f"git ls-tree: {record[:80].decode(errors='replace')}")
            mode, _, oid, size, path = match.groups()
            entry = TreeEntry(mode.decode(), oid.decode(), int(size) if size != b"-" else 0)
            entries[path.decode(errors="surrogateescape")] = entry
            if len(entries) > MAX_FILES:
                raise SourceError("Too large a repository", f"{commit[:7]} has more than {MAX_FILES} files.")
        process.finish()
    return Listing(commit, entries)


class Blobs:
    """Contents by object id. Safe for threads. Raises GitFailed for an object that can't be read."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = Lock()
        self._batch: Process | None = None

    def read(self, entry: TreeEntry) -> bytes:
        """A whole file of at most SMALL bytes."""
        if entry.size > SMALL:
            raise ValueError(f"{entry.oid} has {entry.size} bytes and is to be streamed")
        with self._lock:
            try:
                return self._ask(entry.oid)
            except (OSError, ValueError, GitFailed) as error:
                self._end_batch()  # its next answer could belong to this request
                raise GitFailed(f"git cat-file --batch: {entry.oid}: {error}") from error

    @contextmanager
    def stream(self, entry: TreeEntry) -> Iterator[Iterator[bytes]]:
        """A file in chunks, without ever being held whole."""
        with self._git.start("cat-file", "blob", entry.oid) as process:
            yield _chunks(process)

    def beginning(self, entry: TreeEntry, length: int) -> bytes:
        """The first bytes of a file of any size."""
        if entry.size <= SMALL:
            return self.read(entry)[:length]
        with self._git.start("cat-file", "blob", entry.oid) as process:
            beginning = process.stdout.read(length)
            if len(beginning) < min(length, entry.size):
                process.finish()
                raise process.failure()
        return beginning

    def close(self) -> None:
        with self._lock:
            self._end_batch()

    def _ask(self, oid: str) -> bytes:
        if self._batch is None:
            self._batch = self._git.start("cat-file", "--batch", options=GitOptions(stdin=True))
        self._batch.stdin.write(f"{oid}\n".encode())
        self._batch.stdin.flush()
        header = self._batch.stdout.readline().decode(errors="replace").split()
        if len(header) != 3 or header[:2] != [oid, "blob"]:
            raise GitFailed(" ".join(header) or self._batch.failure().stderr)
        content = self._batch.stdout.read(int(header[2]) + 1)
        if len(content) != int(header[2]) + 1:
            raise self._batch.failure()
        return content[:-1]

    def _end_batch(self) -> None:
        if self._batch:
            self._batch.close()
            self._batch = None


def _chunks(process: Process) -> Iterator[bytes]:
    while chunk := process.stdout.read(CHUNK):
        yield chunk
    process.finish()


def _records(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(CHUNK):
        *records, rest = (rest + chunk).split(b"\0")
        yield from records
