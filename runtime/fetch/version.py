"""Fetches one version into a folder. The manifest is written last, so a folder that has one is complete.

Called by `command.py`. If the folder is complete already, it is verified and the store is not asked. Files of an
interrupted fetch are continued; files of another version are deleted.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import DigestMismatch, ManifestError
from runtime.fetch.errors import DiskFullError, DiskRefusedError, ObjectAbsentError, RangeBeyondEndError
from runtime.fetch.retries import PATIENT, Patience
from runtime.fetch.store import Store
from runtime.fetch.transfer import fetch_file, partial_file
from runtime.manifest import (
    ARTIFACT_NAMES,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    REQUIREMENTS_NAME,
    Manifest,
    VersionRef,
    verify_folder,
)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_whole(folder: Path, digest: str) -> bool:
    """Whether a folder holds all of the version with this digest. Reads every byte."""
    try:
        with _disk(folder):
            verify_folder(folder, digest)
    except (DigestMismatch, ManifestError):
        return False
    return True


def fetch_version(store: Store, wanted: VersionRef, folder: Path, patience: Patience = PATIENT) -> Manifest:
    """Fetches the version into the folder. Raises DigestMismatch, ManifestError or FetchError."""
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST_NAME).unlink(missing_ok=True)
        manifest = _manifest(store, wanted, patience)
        _tidy(folder, manifest)
        for entry in manifest.files:
            fetch_file(store, wanted.folder + entry.name, entry, folder, patience)
        temporary = folder / f".{MANIFEST_NAME}.new"
        temporary.write_bytes(manifest.to_bytes())
        temporary.replace(folder / MANIFEST_NAME)
    return manifest


def _manifest(store: Store, wanted: VersionRef, patience: Patience) -> Manifest:
    key = wanted.folder + MANIFEST_NAME
    try:
        data = patience.call(lambda: store.read(key, 0, MAX_MANIFEST_BYTES + 1)).data
    except RangeBeyondEndError:
        data = b""
    except ObjectAbsentError as error:
        raise ObjectAbsentError(
            "The version is not in the store",
            f"There is no {store.where(key)}. It was never pushed, or has been deleted: push it again.",
        ) from error
    found, expected = hashlib.sha256(data).hexdigest(), wanted.digest.removeprefix("sha256:")
    if found != expected:
        raise DigestMismatch(store.where(key), expected, found)
    return Manifest.from_bytes(data)


def _tidy(folder: Path, manifest: Manifest) -> None:
    """Deletes files of other versions, recognised by the names that only versions use."""
    names = {entry.name for entry in manifest.files}
    partials = {partial_file(folder, entry) for entry in manifest.files}
    for name in {*ARTIFACT_NAMES.values(), REQUIREMENTS_NAME} - names:
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob(".*.partial"):
        if path not in partials:
            path.unlink()


@contextmanager
def _disk(folder: Path) -> Generator[None]:
    """Turns errors of the disk into a FetchError that names the path."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename or folder}: {error.strerror or error}."
        if error.errno in _FULL:
            advice = "What was fetched is kept. Give the volume, or the container's ephemeral storage, more room."
            raise DiskFullError("No space left", f"{what} {advice}") from error
        raise DiskRefusedError(
            "The disk refused", f"{what} The user of this process has to be able to write there."
        ) from error
