"""Files in Git LFS: parses their pointers, and streams their bytes from git-lfs.

In: the content of a small file. Out: its size and sha256 without reading more, and a stream that is verified against
both. git-lfs uses the server of the source's own URL; a repository's .lfsconfig is ignored.
Called by `contents.py` and `artifact.py`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reconciler.sources.git.command import GitFailed, GitOptions, Process
from reconciler.sources.git.errors import explain
from reconciler.sources.git.mirror import Mirror
from reconciler.sources.paths import SourcePath, shown
from reconciler.sources.protocol import CHUNK, SourceError
from runtime.formats import is_lfs_pointer

MAX_POINTER = 1024
"""Bytes; https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""

_POINTER = re.compile(rb"version \S+\noid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n?")


@dataclass(frozen=True, slots=True)
class Pointer:
    sha256: str
    size: int  # bytes
    content: bytes  # the pointer itself


def parse_pointer(path: SourcePath, content: bytes) -> Pointer | None:
    """None if the content isn't a pointer. SourceError for a malformed pointer."""
    if not is_lfs_pointer(content):
        return None
    match = _POINTER.fullmatch(content.replace(b"\r\n", b"\n"))
    if match is None:
        raise SourceError(
            "A Git LFS pointer that can't be read", f"{shown(str(path))} is malformed, or uses an extension of LFS."
        )
    return Pointer(match[1].decode(), int(match[2]), content)


def require_lfs(path: SourcePath) -> None:
    """SourceError if git-lfs is not installed."""
    if shutil.which("git-lfs") is None:
        raise path.lfs_pointer("Install git-lfs, which fetches it (https://git-lfs.com)")


@contextmanager
def open_lfs(mirror: Mirror, path: SourcePath, pointer: Pointer) -> Iterator[Iterator[bytes]]:
    """The file in chunks. SourceError, at the end of the stream, for bytes that are not those of the pointer."""
    options = GitOptions(seconds=mirror.limits.lfs_seconds, stdin=True)
    with mirror.remote_git.start("lfs", "smudge", options=options) as process:
        process.feed(pointer.content)
        yield _verified(mirror, path, pointer, process)


def _verified(mirror: Mirror, path: SourcePath, pointer: Pointer, process: Process) -> Iterator[bytes]:
    hasher = hashlib.sha256()
    size = 0
    while chunk := process.stdout.read(CHUNK):
        process.stop_clock()  # git-lfs writes the first byte only when it has the whole file
        hasher.update(chunk)
        size += len(chunk)
        if size > pointer.size:
            break
        if size < pointer.size or hasher.hexdigest() == pointer.sha256:
            yield chunk
    try:
        process.finish()
    except GitFailed as failure:
        raise _unavailable(mirror, path, failure) from failure
    found = hasher.hexdigest()
    if (size, found) != (pointer.size, pointer.sha256):
        raise SourceError(
            "Git LFS gave other bytes",
            f"{shown(str(path))}: the pointer says {pointer.size} bytes with sha256 {pointer.sha256}, "
            f"and git-lfs gave {size} bytes with sha256 {found}. Push the file again with `git lfs push --all`.",
        )


def _unavailable(mirror: Mirror, path: SourcePath, failure: GitFailed) -> SourceError:
    if re.search(r"missing object|object not found|does not exist|\[404\]", failure.stderr, re.I):
        return SourceError(
            "Git LFS lacks the file",
            f"{shown(str(path))}: the server of {mirror.address} does not have its object. Push it with "
            "`git lfs push --all`.",
        )
    error = explain(failure, mirror.address, mirror.folder)
    return SourceError(error.summary, f"{shown(str(path))}, through git-lfs: {error.detail}", retryable=error.retryable)
