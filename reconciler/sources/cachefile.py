"""A small cache file: a bounded mapping from text to text.

Losing it only costs time, so errors of reading or writing it (a read-only disk) are ignored and the values are
computed again. Used by `digests.py` and `git/contents.py`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import orjson

_SCHEMA = 1


class CacheFile:
    """Safe for threads. Two processes may use one file: the later `save` keeps what the earlier one wrote."""

    def __init__(self, path: Path, limit: int) -> None:
        """`limit`: how many entries are kept; the least recently used are dropped first."""
        self._path = path
        self._limit = limit
        self._lock = Lock()
        self._entries: dict[str, str] | None = None
        self._fresh: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        with self._lock:
            entries = self._loaded()
            value = entries.pop(key, None)
            if value is not None:
                entries[key] = value  # the most recently used is last
            return value

    def put(self, key: str, value: str) -> None:
        with self._lock:
            self._loaded()[key] = value
            self._fresh[key] = value

    def save(self) -> None:
        """Writes what is new, atomically."""
        with self._lock:
            if not self._fresh:
                return
            theirs = {key: value for key, value in _read(self._path).items() if key not in self._loaded()}
            entries = list((theirs | self._loaded()).items())[-self._limit :]
            self._entries = dict(entries)
            self._fresh = {}
            with contextlib.suppress(OSError):
                _write(self._path, self._entries)

    def _loaded(self) -> dict[str, str]:
        if self._entries is None:
            self._entries = _read(self._path)
        return self._entries


def _read(path: Path) -> dict[str, str]:
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        return {}
    entries = document.get("entries")
    if not isinstance(entries, dict):
        return {}
    return {key: value for key, value in entries.items() if isinstance(value, str)}


def _write(path: Path, entries: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without fsync: a file that a crash emptied is read as an empty cache.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps({"schema": _SCHEMA, "entries": entries}))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
