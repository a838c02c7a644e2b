"""The store in a folder: what the embedded default uses, and any shared disk.

A version is written into `{tenant}/.incoming/`, synced, read back, and renamed to its place, so that it is complete or
absent. A lock for each tenant orders the renames. A lock for each staging folder shows whether its writer is alive; the
next writer deletes the folders of dead ones. Stored files are read-only; the umask decides who may read them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from reconciler.artifacts import integrity
from reconciler.artifacts.disk import sync_folder, translated
from reconciler.artifacts.protocol import Content, Report, VersionRef
from reconciler.artifacts.staging import Staging
from runtime.manifest import MANIFEST_NAME, Manifest, verify_folder

_INCOMING = ".incoming"  # starts with a dot, so that no model can have this name
_READ_ONLY = 0o444


class FilesystemStore:
    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def location(self) -> str:
        return str(self._root)

    def list(self, tenant: str) -> Sequence[VersionRef]:
        integrity.require_safe_name(tenant)
        with translated(self.location):
            return sorted(
                VersionRef(tenant, model.name, version.name, f"sha256:{folder.name}")
                for model in _folders(self._root / tenant)
                for version in _folders(model)
                for folder in _complete(version)
            )

    def manifest(self, ref: VersionRef) -> Manifest:
        integrity.require_safe(ref)
        with translated(self.location):
            if not self._is_stored(ref):
                raise integrity.absent(ref, self.location)
            return integrity.parse_manifest((self._folder(ref) / MANIFEST_NAME).read_bytes(), ref, self.location)

    def put(self, ref: VersionRef, manifest: Manifest, files: Mapping[str, Content], report: Report) -> None:
        integrity.require_whole(ref, manifest, files)
        with translated(self.location):
            if self._is_stored(ref):
                return
            self._refuse_taken(ref)
            staging = self._staging(ref)
            with staging.folder() as folder:
                for entry in manifest.files:
                    with closing(integrity.pinned(files[entry.name], entry)) as chunks:
                        _write(folder / entry.name, chunks, report)
                _write(folder / MANIFEST_NAME, [manifest.to_bytes()])
                sync_folder(folder)
                with integrity.stored(ref, self.location):
                    verify_folder(folder, ref.digest)
                with staging.lock():
                    self._publish(ref, folder, staging)

    def fetch(self, ref: VersionRef, cache: Path) -> Path:
        """The store's own folder, verified now; `cache` is not used."""
        integrity.require_safe(ref)
        with translated(self.location), integrity.stored(ref, self.location):
            if not self._is_stored(ref):
                raise integrity.absent(ref, self.location)
            verify_folder(self._folder(ref), ref.digest)
        return self._folder(ref)

    def remove(self, ref: VersionRef) -> None:
        integrity.require_safe(ref)
        folder = self._folder(ref)
        with translated(self.location):
            if not folder.is_dir():
                return
            staging = self._staging(ref)
            with staging.lock():
                (folder / MANIFEST_NAME).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                _remove_empty(folder.parent, folder.parent.parent)

    def _folder(self, ref: VersionRef) -> Path:
        return self._root / ref.folder

    def _staging(self, ref: VersionRef) -> Staging:
        return Staging(self._root / ref.tenant / _INCOMING)

    def _is_stored(self, ref: VersionRef) -> bool:
        return (self._folder(ref) / MANIFEST_NAME).is_file()

    def _refuse_taken(self, ref: VersionRef) -> None:
        others = [f"sha256:{folder.name}" for folder in _complete(self._folder(ref).parent)]
        if others:
            raise integrity.taken(ref, others)

    def _publish(self, ref: VersionRef, staged: Path, staging: Staging) -> None:
        """Renames under the tenant's lock: another writer may have been first, with the same or with other content."""
        if self._is_stored(ref):
            return
        self._refuse_taken(ref)
        final = self._folder(ref)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():  # without a manifest: left by a removal that was killed
            staging.discard(final)
        staged.rename(final)
        for parent in (final.parent, final.parent.parent, final.parent.parent.parent, self._root):
            sync_folder(parent)


def _write(path: Path, chunks: Iterable[bytes], report: Report = lambda _: None) -> None:
    with path.open("xb", buffering=0) as file:
        for chunk in chunks:
            left = memoryview(chunk)
            while left:  # a raw write may write only a part
                left = left[file.write(left) :]
            report(len(chunk))
        os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode & _READ_ONLY)
        os.fsync(file.fileno())


def _folders(parent: Path) -> list[Path]:
    try:
        return [entry for entry in parent.iterdir() if not entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []


def _complete(version: Path) -> list[Path]:
    """The folders of a version's digests that have their manifest."""
    return [f for f in _folders(version) if integrity.is_hex(f.name) and (f / MANIFEST_NAME).is_file()]


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
