"""The cache of rendered objects never stands in the way."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

from reconciler.targets.kubernetes.rendering.cache import FILE, RenderCache

KEY, OTHER = b"k" * 32, b"o" * 32
OBJECTS = ({"kind": "Service", "metadata": {"name": "churn"}},)


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    RenderCache(tmp_path).put({KEY: OBJECTS, OTHER: ()})
    assert RenderCache(tmp_path).get([KEY, OTHER, b"unknown"]) == {KEY: OBJECTS, OTHER: ()}


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "rendered"
    RenderCache(folder).put({KEY: OBJECTS})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    cache = RenderCache(tmp_path)
    assert cache.get([KEY]) == {}
    cache.put({KEY: OBJECTS})
    assert cache.get([KEY]) == {KEY: OBJECTS}


def test_a_damaged_entry_is_begun_anew(tmp_path: Path) -> None:
    cache = RenderCache(tmp_path)
    cache.put({KEY: OBJECTS})
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE rendered SET objects = '{'")
    database.close()
    assert cache.get([KEY]) == {}
    assert not (tmp_path / FILE).exists()


def test_a_folder_that_can_not_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = RenderCache(tmp_path / "file" / "rendered")
    cache.put({KEY: OBJECTS})
    assert cache.get([KEY]) == {}


def test_what_is_asked_for_is_kept_and_what_is_not_goes_in_a_month(tmp_path: Path) -> None:
    cache = RenderCache(tmp_path)
    cache.put({KEY: OBJECTS, OTHER: OBJECTS})
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE rendered SET used = used - 31")
    database.close()
    assert cache.get([KEY]) == {KEY: OBJECTS}
    cache.put({})
    assert cache.get([KEY, OTHER]) == {KEY: OBJECTS}
