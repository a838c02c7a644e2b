"""Finds and verifies what the command line names, so that a loader can load it.

Called while the server starts. A version's folder is checked byte for byte against its manifest, and the manifest
against the requested digest. A plain file or a predictor's folder is not checked; its digest is computed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from runtime.errors import ModelError, SettingsError
from runtime.formats import HEAD_SIZE, Format, infer_format
from runtime.loaders.python import PREDICTOR_FILE
from runtime.manifest import MANIFEST_NAME, Manifest, sha256_of, verify_folder
from runtime.packing import folder_entries, pack, unpack


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file, or a Python predictor's folder. `digest`: that of its manifest; without a manifest, that of a version
    with this artifact and no requirements."""

    path: Path
    model_format: Format
    digest: str


def open_artifact(path: Path, digest: str | None, named: Format | None, cleanup: ExitStack) -> Artifact:
    """Finds out what `path` is and verifies it. A packed folder is unpacked into a temporary folder, which `cleanup`
    deletes. RuntimeFault."""
    if not path.exists():
        raise ModelError("Nothing to serve", f"{path} does not exist.")
    if path.is_dir() and (digest or not (path / PREDICTOR_FILE).is_file()):
        return _open_version(path, digest, cleanup)
    if digest:
        raise SettingsError("Nothing to verify", f"{path} is no version's folder: it has no {MANIFEST_NAME}.")
    return _open_plain(path, named)


def _open_version(folder: Path, digest: str | None, cleanup: ExitStack) -> Artifact:
    if not digest and not (folder / MANIFEST_NAME).is_file():
        raise ModelError("Nothing to serve", f"{folder} is a folder with neither {PREDICTOR_FILE} nor {MANIFEST_NAME}.")
    manifest = verify_folder(folder, digest)
    path = folder / manifest.artifact.name
    if manifest.format is Format.PYTHON:
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="kubeserve-model-")))
        unpack(path, folder)
        path = folder
    return Artifact(path, manifest.format, manifest.digest)


def _open_plain(path: Path, named: Format | None) -> Artifact:
    if path.is_dir():
        model_format = infer_format(path.name, b"", folder=True, named=named)
        packed = sha256()
        for chunk in pack(folder_entries(path)):
            packed.update(chunk)
        return Artifact(path, model_format, Manifest.of(model_format, packed.hexdigest()).digest)
    with path.open("rb") as file:
        model_format = infer_format(path.name, file.read(HEAD_SIZE), named=named)
    return Artifact(path, model_format, Manifest.of(model_format, sha256_of(path)).digest)
