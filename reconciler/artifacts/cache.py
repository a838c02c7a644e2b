"""Downloads of versions, kept: `{cache}/versions/{tenant}/{digest hex}/` is complete and verified, or absent.

Called by stores that are not on this machine. A lock for each digest lets one process download while others wait; it
ends with its process, and files verified by then are not downloaded again. A tenant can't get another tenant's download
by naming its digest. Folders have mode 0700, so that a cache in a shared place doesn't show a tenant's models to other
users.
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

TRIES = 2  # a second try, for bytes that were damaged in transit

Download = Callable[[str, Path], bool]
"""Downloads the version's file of this name to the path; False if the store has no such file."""


def fetch_into(
    cache: Path, ref: VersionRef, location: str, manifest: Callable[[], Manifest], download: Download
) -> Path:
    """The folder of a version in the cache, after its missing files were downloaded and verified."""
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
        if wanted.get(path.name) != sha256_of(path):  # left by a download that was killed
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
