"""The sha256 of artifacts, computed again only when an artifact's identity changes.

In: the artifacts of a revision and a cache. Out: a hex sha256 for each, or the error for that artifact alone.
Called by `versions.py` with the whole batch of a round.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TypeVar

from reconciler.sources.cachefile import CacheFile
from reconciler.sources.paths import SourcePath
from reconciler.sources.protocol import SourceArtifact, SourceError

Report = Callable[[int], None]
"""Called with the number of bytes that were hashed since the last call, from several threads."""

MAX_DIGESTS = 50_000
MAX_THREADS = 4

_SHA256 = re.compile(r"[0-9a-f]{64}")

Key = TypeVar("Key", bound=Hashable)


class DigestCache:
    """identity -> (hex sha256, bytes), kept in one file. Safe for threads."""

    def __init__(self, path: Path) -> None:
        self._file = CacheFile(path, MAX_DIGESTS)

    def get(self, identity: str) -> tuple[str, int] | None:
        sha256, _, size = (self._file.get(identity) or "").partition(" ")
        return (sha256, int(size)) if _SHA256.fullmatch(sha256) and size.isdecimal() else None

    def put(self, identity: str, sha256: str, size: int) -> None:
        self._file.put(identity, f"{sha256} {size}")

    def save(self) -> None:
        self._file.save()


def _ignore(_: int) -> None:
    pass


def artifact_sha256(artifact: SourceArtifact, cache: DigestCache, report: Report = _ignore) -> str:
    """The hex sha256 of one artifact. SourceError when it can't be read. Saves the cache."""
    (digest,) = digest_all({0: artifact}, cache, report).values()
    if isinstance(digest, SourceError):
        raise digest
    return digest


def digest_all(
    artifacts: Mapping[Key, SourceArtifact], cache: DigestCache, report: Report = _ignore
) -> dict[Key, str | SourceError]:
    """The hex sha256 of every artifact, or why that one can't be read; in the order of `artifacts`.

    An artifact that several keys share is read once. `report` counts only bytes that are read. Saves the cache.
    """
    found: dict[str, str | SourceError] = {}
    unread: dict[str, SourceArtifact] = {}
    for artifact in artifacts.values():
        known = _known(artifact, cache)
        if known is None:
            unread.setdefault(artifact.identity, artifact)
        else:
            found[artifact.identity] = known
    found.update(_read_all(unread, cache, report))
    cache.save()
    return {key: found[artifact.identity] for key, artifact in artifacts.items()}


def _known(artifact: SourceArtifact, cache: DigestCache) -> str | None:
    if artifact.sha256:
        return artifact.sha256
    cached = cache.get(artifact.identity)
    return cached[0] if cached and cached[1] == artifact.size else None


def _read_all(unread: Mapping[str, SourceArtifact], cache: DigestCache, report: Report) -> dict[str, str | SourceError]:
    stop = Event()
    found: dict[str, str | SourceError] = {}
    # hashlib lets other threads run while it works on large chunks.
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), "digest") as pool:
        futures = {identity: pool.submit(_sha256, artifact, report, stop) for identity, artifact in unread.items()}
        try:
            for identity, future in futures.items():
                found[identity] = digest = _outcome(future)
                if isinstance(digest, str) and unread[identity].settled:
                    cache.put(identity, digest, unread[identity].size)
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return found


def _outcome(future: Future[str]) -> str | SourceError:
    try:
        return future.result()
    except SourceError as error:
        return error


def _sha256(artifact: SourceArtifact, report: Report, stop: Event) -> str:
    hasher = hashlib.sha256()
    size = 0
    with artifact.open() as chunks:
        for chunk in chunks:
            if stop.is_set():
                raise SourceError("Interrupted", f"{artifact.path} was not read to its end.", retryable=True)
            hasher.update(chunk)
            size += len(chunk)
            report(len(chunk))
    if size != artifact.size:
        raise SourcePath.parse(artifact.path).changed(f"it had {artifact.size} bytes and then {size}")
    return hasher.hexdigest()
