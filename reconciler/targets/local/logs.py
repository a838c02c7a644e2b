"""Reads the logs of replicas: the last lines across a rotated file, and new ones as they come.

A log is a file and its older parts beside it (`log.1` is the newest of these). Called by readiness, by the logs
command, and for errors that quote the last lines of a process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from specs.untrusted import cut

FOLLOW_SECONDS = 0.2
_MAX_LINE = 10_000  # characters; a longer line is cut, and says so


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log and its older parts, oldest first; none when there is no log."""
    kept: deque[str] = deque(maxlen=count)
    for part in _parts(log):
        kept.extend(_lines(part))
    return list(kept)


def said(log: Path, output: Path, count: int) -> list[str]:
    """The last lines of a process: of its log, or of its plain output if it ended before it had a log."""
    return last_lines(log, count) or last_lines(output, count)


class Follower:
    """Yields what is added to one log, also after a rotation, and if the log is created later."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._inode, self._offset = _end(log)
        self._rest = b""

    @property
    def is_over(self) -> bool:
        """Whether the folder of the log is deleted, and so nothing writes to it any more."""
        return not self._log.parent.exists()

    def new_lines(self) -> Iterator[str]:
        """Complete lines since the last call."""
        inode, size = _end(self._log)
        if self._inode and inode != self._inode:
            yield from self._read(self._older())
            self._offset = 0
        self._inode = inode
        if size > self._offset:
            yield from self._read(self._log)

    def _older(self) -> Path | None:
        parts = self._log.parent.glob(f"{self._log.name}.*")
        return next((part for part in parts if _end(part)[0] == self._inode), None)

    def _read(self, path: Path | None) -> Iterator[str]:
        if path is None:
            return
        try:
            with path.open("rb") as stream:
                stream.seek(self._offset)
                added = stream.read()
        except OSError:
            return
        self._offset += len(added)
        *complete, self._rest = (self._rest + added).split(b"\n")
        yield from map(_decode, complete)


def merged(followers: Sequence[tuple[str, Follower]]) -> Iterator[str]:
    """What is added to any of several logs, each line after its log's prefix; ends when all of them are deleted."""
    while not all(follower.is_over for _, follower in followers):
        found = False
        for prefix, follower in followers:
            for line in follower.new_lines():
                found = True
                yield prefix + line
        if not found:
            time.sleep(FOLLOW_SECONDS)


def _parts(log: Path) -> list[Path]:
    """Oldest first."""
    older = (part for part in log.parent.glob(f"{log.name}.*") if part.suffix[1:].isdigit())
    return [*sorted(older, key=lambda part: int(part.suffix[1:]), reverse=True), log]


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                yield _decode(line.removesuffix(b"\n"))
    except OSError:
        return


def _decode(line: bytes) -> str:
    return cut(line.removesuffix(b"\r").decode(errors="replace"), _MAX_LINE)


def _end(path: Path) -> tuple[int, int]:
    """The inode and size of a file; zeros when there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_size
