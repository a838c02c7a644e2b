"""Packs a folder into one stream of bytes, always the same bytes for the same content, and unpacks it.

Sources and `kubeserve push` pack a Python predictor's folder while they read it; the runtime unpacks it before loading.
The format is an uncompressed tar that depends only on paths, contents and the executable bit: its entries are sorted,
without times, owners, folders or links.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runtime.errors import PackError

CHUNK = 1024 * 1024
_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class PackEntry:
    """One file of a folder: `path` is POSIX and relative, `size` the number of bytes that `open` yields."""

    path: str
    executable: bool
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    bytes: int = 4 * 1024**3
    files: int = 10_000


def folder_entries(folder: Path) -> list[PackEntry]:
    """Every file below a folder, except Python's caches. Symlinks and special files raise PackError."""
    entries = []
    for parent, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if _is_cache(relative) or stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise PackError("Not packable", f"'{relative}' is a link or a special file; only files are packed")
            entries.append(PackEntry(relative, bool(mode & 0o100), path.stat().st_size, _opener(path)))
    return entries


def pack(entries: Iterable[PackEntry]) -> Iterator[bytes]:
    """The folder's tar in chunks, of which at most one is in memory. The order of `entries` is irrelevant; Python's
    caches are left out. PackError: a path that is not a relative POSIX path, occurs twice, or is a file and a folder at
    once; a file whose size differs from its entry."""
    for entry in _ordered(entries):
        yield _header(entry)
        yield from _content(entry)
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield _END


def packed_size(entries: Iterable[PackEntry]) -> int:
    """How many bytes `pack` yields for these entries; opens nothing."""
    block = tarfile.BLOCKSIZE
    return len(_END) + sum(len(_header(e)) + -(-e.size // block) * block for e in _ordered(entries))


def unpack(tar: Path, folder: Path, limits: UnpackLimits = UnpackLimits()) -> None:
    """Writes the files of a packed folder below `folder`, which may be absent or empty. PackError for entries that
    `pack` can't have written (links, devices, paths that lead out of the folder), and beyond `limits`."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise PackError("Not unpacked", f"{folder} is not empty")
    left = limits.bytes
    try:
        with tarfile.open(tar, "r:") as archive:
            for count, member in enumerate(archive, 1):
                left -= member.size
                _admit(member, fits=left >= 0 and count <= limits.files, limits=limits)
                _extract(archive, member, folder)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise PackError("Not unpacked", f"{tar.name}: {error}") from error


def _ordered(entries: Iterable[PackEntry]) -> list[PackEntry]:
    kept = sorted((e for e in entries if not _is_cache(e.path)), key=lambda entry: entry.path)
    for entry in kept:
        _check_path(entry.path)
    paths = {entry.path for entry in kept}
    if len(paths) < len(kept):
        raise PackError("Not packable", "the folder names one path twice")
    both = next((parent for path in paths for parent in _parents(path) if parent in paths), None)
    if both:
        raise PackError("Not packable", f"'{both}' is a file and a folder at once")
    return kept


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in path or "\\" in path:
        raise PackError("Not packable", f"{path!r} is not a plain relative path")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise PackError("Not packable", f"{path!r} is not valid UTF-8") from None


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _is_cache(path: str) -> bool:
    return "__pycache__" in path.split("/") or path.endswith(".pyc")


def _header(entry: PackEntry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.size = entry.size
    info.mode = 0o755 if entry.executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _content(entry: PackEntry) -> Iterator[bytes]:
    left = entry.size
    with entry.open() as file:
        while chunk := file.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
    if left:
        raise PackError("A file changed while it was packed", f"'{entry.path}' no longer has {entry.size} bytes")


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _admit(member: tarfile.TarInfo, *, fits: bool, limits: UnpackLimits) -> None:
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
        raise PackError("Not unpacked", f"{member.name!r} is not a plain file")
    if not fits:
        raise PackError("Not unpacked", f"it holds more than {limits.files} files or {limits.bytes} bytes")
    _check_path(member.name)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = folder / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None  # noqa: S101 - it is a plain file
    mode = 0o755 if member.mode & 0o100 else 0o644
    with source, open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:  # noqa: PTH123
        while chunk := source.read(CHUNK):
            target.write(chunk)
