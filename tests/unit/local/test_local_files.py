"""Files of the run directory: whole or not there, and an error that names the one that can't be written."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from reconciler.targets.local.files import read_json, write_json


def with_little_room(path: Path) -> str:
    """What writing a mark of some size says in a process that can write no file beyond 100 bytes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            write_json(path, {"text": "x" * 1000})
        except OSError as error:
            os.write(writing, f"{error.filename}: {error.strerror}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def test_a_file_that_does_not_fit_leaves_the_old_one_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tenants" / "fraud" / "tenant.json"
    write_json(path, {"text": "old"})
    assert with_little_room(path) == f"{path}: File too large"
    assert read_json(path) == {"text": "old"}
    assert [entry.name for entry in path.parent.iterdir()] == ["tenant.json"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tenants").write_text("")
    with pytest.raises(OSError, match="tenants"):
        write_json(tmp_path / "tenants" / "fraud" / "tenant.json", {})
