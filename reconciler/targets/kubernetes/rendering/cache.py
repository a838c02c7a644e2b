"""Rendered objects on disk, under the digest of all their inputs, so that unchanged ones need no helm.

A cache: what can't be read or written is rendered again. Used by `renderer.py`; safe for several processes.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import orjson

from reconciler.targets.kubernetes.objects.identity import Object

FILE = "rendered.sqlite3"
BUSY_SECONDS = 5.0
DAY = 86_400
KEEP_DAYS = 30  # for objects that nobody asked for

_SCHEMA = "CREATE TABLE IF NOT EXISTS rendered (key BLOB PRIMARY KEY, objects BLOB NOT NULL, used INTEGER NOT NULL)"

Objects = tuple[Object, ...]
T = TypeVar("T")


class RenderCache:
    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Objects]:
        """What is known of these."""
        return self._transaction(lambda database: _read(database, keys), {})

    def put(self, rendered: Mapping[bytes, Objects]) -> None:
        """Stores these, and deletes what was not asked for in a month."""
        self._transaction(lambda database: _write(database, rendered), None)

    def _transaction(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Returns `otherwise` if the database can't be used; deletes a file that is no database or holds no objects."""
        try:
            with closing(self._open()) as database, database:
                return work(database)
        except (sqlite3.OperationalError, OSError):  # locked, full, or not ours to write
            return otherwise
        except (sqlite3.DatabaseError, orjson.JSONDecodeError):
            self._path.unlink(missing_ok=True)
            return otherwise

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        database.execute(_SCHEMA)
        return database


def _read(database: sqlite3.Connection, keys: Iterable[bytes]) -> dict[bytes, Objects]:
    found: dict[bytes, Objects] = {}
    old = []
    today = _today()
    for key in keys:
        row = database.execute("SELECT objects, used FROM rendered WHERE key = ?", (key,)).fetchone()
        if row is None:
            continue
        found[key] = tuple(orjson.loads(row[0]))
        if row[1] != today:
            old.append((today, key))
    if old:
        database.executemany("UPDATE rendered SET used = ? WHERE key = ?", old)
    return found


def _write(database: sqlite3.Connection, rendered: Mapping[bytes, Objects]) -> None:
    rows = [(key, orjson.dumps(objects), _today()) for key, objects in rendered.items()]
    database.executemany("INSERT OR REPLACE INTO rendered VALUES (?, ?, ?)", rows)
    database.execute("DELETE FROM rendered WHERE used < ?", (_today() - KEEP_DAYS,))


def _today() -> int:
    return int(time.time()) // DAY
