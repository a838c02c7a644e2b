"""Fetches one file of a version, and continues where an earlier try or process stopped.

Called by `version.py`. A partial file is always the beginning of the file, because ranges are fetched in parallel and
written in order. It is named by the expected sha256, so that no file of another version is continued, and gets its own
name once its sha256 is right. At most WORKERS + 1 parts are in memory.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from runtime.errors import DigestMismatch
from runtime.fetch.errors import RangeBeyondEndError
from runtime.fetch.retries import Patience
from runtime.fetch.store import Piece, Store
from runtime.manifest import FileEntry, sha256_of

PART = 4 * 1024 * 1024
WORKERS = 4
CHUNK = 1024 * 1024
TRIES = 2  # the second one starts anew, for bytes that were damaged on the way or on the disk
_log = logging.getLogger("runtime")


def partial_file(folder: Path, entry: FileEntry) -> Path:
    """Where the beginning of a file is kept."""
    return folder / f".{entry.sha256}.partial"


def fetch_file(store: Store, key: str, entry: FileEntry, folder: Path, patience: Patience) -> None:
    """Fetches and verifies `folder / entry.name`, unless it is there. DigestMismatch, FetchError, OSError."""
    path, partial = folder / entry.name, partial_file(folder, entry)
    if sha256_of(path) == entry.sha256:
        _log.info("%s is there already", entry.name)
        return
    path.unlink(missing_ok=True)
    found = ""
    for _ in range(TRIES):
        found = _continue(store, key, entry, partial, patience)
        if found == entry.sha256:
            partial.replace(path)
            return
        partial.unlink()
    raise DigestMismatch(store.where(key), entry.sha256, found)


def _continue(store: Store, key: str, entry: FileEntry, partial: Path, patience: Patience) -> str:
    """Appends the rest to the partial file and returns the hex sha256 of the whole. Sends no request for a whole
    file."""
    with partial.open("a+b") as file:
        file.seek(0)
        digest, there = hashlib.sha256(), 0
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            there += len(chunk)
        if digest.hexdigest() == entry.sha256:
            return entry.sha256
        _log.info("%s: fetching%s", entry.name, f", continued at {there:,} bytes" if there else "")
        try:
            with closing(_parts(store, key, there, patience)) as parts:
                for data in parts:
                    file.write(data)
                    digest.update(data)
        except RangeBeyondEndError:  # the partial file is longer than the object, so it is not its beginning
            pass
    return digest.hexdigest()


def _parts(store: Store, key: str, start: int, patience: Patience) -> Generator[bytes]:
    """An object's bytes from `start` on, in order."""

    def read(offset: int) -> Piece:
        return patience.call(lambda: store.read(key, offset, PART))

    first = read(start)
    offset, total = start + len(first.data), first.total
    yield first.data
    del first
    flying: deque[Future[Piece]] = deque()
    workers = ThreadPoolExecutor(WORKERS, "fetch")
    try:
        while flying or offset < total:
            while offset < total and len(flying) < WORKERS:
                flying.append(workers.submit(read, offset))
                offset += PART
            yield flying.popleft().result().data
    finally:
        workers.shutdown(cancel_futures=True)
