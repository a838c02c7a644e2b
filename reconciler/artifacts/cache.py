"""Downloads of versions, kept: `{cache}/versions/{tenant}/{digest hex}/` is there whole and verified, or not at all.

Called by stores that are not on this machine. A lock a digest lets one process download while others wait for it, and
dies with its process; what it had verified by then is not downloaded again. No tenant is given what another one fetched
by naming its digest. Folders have mode 0700: models are the tenant's, and a cache in a shared place shows nothing of
them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from reconciler.artifacts import integrity
from reconciler.artifacts.disk import translated
from reconciler.artifacts.protocol import VersionRef
from runtime.errors import DigestMismatch, ManifestError
from runtime.manifest import MANIFEST_NAME, FileEntry, Manifest, sha256_of, verify_folder

TRIES = 2  # the second one is for bytes that were damaged on their way

Download = Callable[[str, Path], bool]
"""Puts the version's file of this name at the path, whole; False when the store has none."""


def fetch_into(
    cache: Path, ref: VersionRef, location: str, manifest: Callable[[], Manifest], download: Download
) -> Path:
    """The folder of a version in the cache, after what is lacking was downloaded and verified."""
    folder = cache / "versions" / ref.tenant
    final, partial = folder / ref.hex, folder / f".{ref.hex}.partial"
    with translated(str(cache)):
        for parent in (cache, folder.parent, folder):
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / f".{ref.hex}.lock"):
            if not _is_whole(final, ref):
                shutil.rmtree(final, ignore_errors=True)
                _fill(partial, ref, location, manifest(), download)
                partial.rename(final)
    return final


def _is_whole(folder: Path, ref: VersionRef) -> bool:
    try:
        verify_folder(folder, ref.digest)
    except (DigestMismatch, ManifestError):
        return False
    return True


def _fill(partial: Path, ref: VersionRef, location: str, manifest: Manifest, download: Download) -> None:
    partial.mkdir(mode=0o700, exist_ok=True)
    wanted = {entry.name: entry.sha256 for entry in manifest.files}
    for path in partial.iterdir():
        if wanted.get(path.name) != sha256_of(path):  # of a download that was killed
            path.unlink()
    for entry in manifest.files:
        if not (partial / entry.name).exists():
            with integrity.stored(ref, location):
                _download(entry, partial / entry.name, download)
    (partial / MANIFEST_NAME).write_bytes(manifest.to_bytes())


def _download(entry: FileEntry, path: Path, download: Download) -> None:
    found = "absent"
    for _ in range(TRIES):
        if not download(entry.name, path):
            break
        if (found := sha256_of(path)) == entry.sha256:
            return
        path.unlink()
    raise DigestMismatch(entry.name, entry.sha256, found)
