"""Opens files and folders below a folder, without ever following a symlink or leaving it.

Each component of a path is opened relative to its parent, so that nobody can lead the reader elsewhere by changing
the tree at the same time. Called by `directory.py`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.sources.paths import SourcePath, shown
from reconciler.sources.protocol import SourceError

MAX_DEPTH = 64
"""The deepest nesting of folders; the walk holds a descriptor for each."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO that has replaced a file meanwhile would wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stamp:
    """Changes whenever a file's bytes may have changed. It includes the inode's change time because, unlike the
    modification time, that can't be set back."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    executable: bool

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        executable = bool(status.st_mode & stat.S_IXUSR)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return cls(status.st_dev, status.st_ino, status.st_size, *times, executable)

    @property
    def newest_ns(self) -> int:
        return max(self.mtime_ns, self.ctime_ns)


@contextmanager
def open_folder(root: Path, path: SourcePath) -> Iterator[int]:
    """A descriptor of a folder below `root`. The path to the root itself may have symlinks."""
    try:
        current = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise _unusable_root(root, error) from error
    try:
        for depth in range(len(path.parts)):
            inner = _open(current, path, depth, _FOLDER)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


@contextmanager
def open_file(root: Path, path: SourcePath) -> Iterator[tuple[int, Stamp]]:
    """A descriptor of a regular file below `root`, and its stamp."""
    with open_folder(root, SourcePath(path.parts[:-1])) as folder:
        descriptor = open_file_in(folder, path)
    try:
        yield descriptor, Stamp.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def open_file_in(folder: int, path: SourcePath) -> int:
    """A descriptor of a regular file directly in an open folder."""
    depth = len(path.parts) - 1
    look(folder, path)  # opening a device can already have an effect
    descriptor = _open(folder, path, depth, _FILE)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise path.special(depth)


@contextmanager
def open_folder_in(folder: int, path: SourcePath) -> Iterator[int]:
    """A descriptor of a folder directly in an open folder."""
    if len(path.parts) > MAX_DEPTH:
        raise SourceError("Folders too deep", f"{shown(str(path))} is more than {MAX_DEPTH} folders deep.")
    descriptor = _open(folder, path, len(path.parts) - 1, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def look(folder: int, path: SourcePath) -> os.stat_result:
    """The status of a regular file or folder directly in an open folder; SourceError for anything else."""
    depth = len(path.parts) - 1
    try:
        status = os.stat(path.parts[-1], dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        raise _refusal(folder, path, depth, error) from error
    if stat.S_ISLNK(status.st_mode):
        raise path.symlink(depth)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise path.special(depth)
    return status


def names_in(folder: int, path: SourcePath) -> list[str]:
    """The names in an open folder, sorted."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: SourcePath, error: OSError) -> SourceError:
    return SourceError("Can't read the source", f"{shown(str(path))}: {error.strerror}. Check its permissions.")


def _open(folder: int, path: SourcePath, depth: int, flags: int) -> int:
    try:
        return os.open(path.parts[depth], flags, dir_fd=folder)
    except OSError as error:
        raise _refusal(folder, path, depth, error) from error


def _refusal(folder: int, path: SourcePath, depth: int, error: OSError) -> SourceError:
    """Why a component can't be opened: the error number is the same for a symlink, a file and a device."""
    if isinstance(error, FileNotFoundError):
        with suppress(OSError):
            return path.absent(depth, os.listdir(folder))
    with suppress(OSError):
        mode = os.stat(path.parts[depth], dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            return path.symlink(depth)
        if stat.S_ISREG(mode) and not isinstance(error, PermissionError):
            return path.through_a_file(depth)
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return path.special(depth)
    return unreadable(SourcePath(path.parts[: depth + 1]), error)


def _unusable_root(root: Path, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceError("No such directory", f"{shown(str(root))} is not a directory.")
    return SourceError("Can't read the source", f"{shown(str(root))}: {error.strerror}. Check its permissions.")
