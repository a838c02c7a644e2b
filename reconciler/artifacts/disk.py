"""Shared by the filesystem store and the cache of downloads: errors of the local disk, and syncing folders."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from reconciler.artifacts.protocol import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def translated(location: str) -> Generator[None]:
    """Turns errors of the disk at `location` into a StoreError."""
    try:
        yield
    except OSError as error:
        raise _store_error(location, error) from error


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _store_error(location: str, error: OSError) -> StoreError:
    what = f"{error.filename or location}: {error.strerror or error}"
    if error.errno in _FULL:
        return StoreError(
            "No space left", f"{what}. Nothing of the version is visible. Free space, or raise the quota or size limit."
        )
    if error.errno in _DENIED:
        return StoreError("Access denied", f"{what}. This user has to be able to read and write {location}.")
    return StoreError("The disk refused", f"{what}.", retryable=True)
