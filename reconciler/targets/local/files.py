"""Files of the run directory: written atomically, readable by their owner only, and trusted only if we own them."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None if there is none, or if another user owns the file, who could name our processes."""
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_uid != os.geteuid():
                return None
            content = orjson.loads(stream.read())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: Any) -> None:
    """Replaces a file atomically and creates its folder; it is on disk when this returns."""
    make_folder(path.parent)
    write_atomically(path, orjson.dumps(content))


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old content or the new one, never a part, even after a power cut. OSError names the file."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def make_folder(path: Path) -> None:
    """Makes a folder and its missing parents, for the owner only."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
