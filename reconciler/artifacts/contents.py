"""A local file or folder to store: its format is recognised, its size limited, its bytes streamed.

Called by `push.py`. Limits are checked before reading, and again while reading, because a file can grow.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.artifacts.protocol import Content
from runtime.errors import RuntimeFault
from runtime.formats import HEAD_SIZE, Format, infer_format
from runtime.packing import folder_entries, pack, packed_size
from specs.errors import KubeServeError
from specs.names import quoted

CHUNK = 1024 * 1024
PREDICTOR_FILE = "predictor.py"
SHOWN_PATH = 200


class ContentError(KubeServeError):
    """A file or folder that can't be stored: absent, of no known format, too large, or changing."""

    code = "content"


@dataclass(frozen=True, slots=True)
class Artifact:
    content: Content
    format: Format


def artifact(path: Path, limit: int, named: Format | None = None) -> Artifact:
    """A model's file, or a folder with a Python predictor, packed while it is read. `limit`: bytes, for a folder those
    of its pack; `named`: the format, if the file's name doesn't show it."""
    with _refusals(path):
        is_folder = _is_folder(path)
        found = infer_format(path.name, b"" if is_folder else _head(path), folder=is_folder, named=named)
        return Artifact(_folder(path, limit) if is_folder else _file(path, limit), found)


def requirements(path: Path, limit: int) -> Content:
    """A requirements.txt of at most `limit` bytes."""
    with _refusals(path):
        if _is_folder(path):
            raise ContentError("Not a file", f"{_shown(path)} is a folder; name a requirements.txt.")
        return _file(path, limit)


def sha256_of(content: Content) -> str:
    """Hex; reads the content once."""
    sha256 = hashlib.sha256()
    with content.open() as chunks:
        for chunk in chunks:
            sha256.update(chunk)
    return sha256.hexdigest()


def _file(path: Path, limit: int) -> Content:
    size = path.stat().st_size
    _require_within(path, size, limit)
    return _content(path, limit, size, lambda: _chunks(path))


def _folder(path: Path, limit: int) -> Content:
    if not (path / PREDICTOR_FILE).is_file():
        raise ContentError(
            f"Folder without {PREDICTOR_FILE}",
            f"{_shown(path)} is a folder, and a folder is a Python predictor: it needs a {PREDICTOR_FILE} with a class "
            "Predictor.",
        )
    entries = folder_entries(path)
    size = packed_size(entries)
    _require_within(path, size, limit)
    return _content(path, limit, size, lambda: pack(entries))


def _content(path: Path, limit: int, size: int, read: Callable[[], Iterable[bytes]]) -> Content:
    @contextmanager
    def opened() -> Generator[Iterator[bytes]]:
        with closing(_within(path, limit, read)) as chunks:
            yield chunks

    return Content(opened, size)


def _within(path: Path, limit: int, read: Callable[[], Iterable[bytes]]) -> Generator[bytes]:
    total = 0
    with _refusals(path):
        for chunk in read():
            total += len(chunk)
            _require_within(path, total, limit)
            yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_SIZE)


def _is_folder(path: Path) -> bool:
    mode = path.stat().st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise ContentError("Not a file", f"{_shown(path)} is a device, a pipe or a socket; name a file or a folder.")
    return stat.S_ISDIR(mode)


def _require_within(path: Path, size: int, limit: int) -> None:
    if size > limit:
        raise ContentError(
            "File is larger than allowed",
            f"{_shown(path)} has {_mebibytes(size)}; the operator's limit is {_mebibytes(limit)} "
            "(`limits:` in platform.yaml).",
        )


def _shown(path: object) -> str:
    return quoted(str(path), limit=SHOWN_PATH)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size:,} bytes"


@contextmanager
def _refusals(path: Path) -> Generator[None]:
    """Turns errors of the disk and of the runtime's rules into a ContentError."""
    try:
        yield
    except RuntimeFault as error:
        raise ContentError(error.summary, error.detail) from error
    except FileNotFoundError as error:
        raise ContentError("No such file", f"There is no {_shown(error.filename or path)}.") from error
    except OSError as error:
        raise ContentError("File can't be read", f"{_shown(error.filename or path)}: {error.strerror}.") from error
