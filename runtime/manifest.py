"""The manifest of a version: its format and the sha256 of each of its files.

The reconciler and `kubeserve push` build it from sha256s alone and store it beside the files as `manifest.json`; the
runtime verifies it before it loads a byte. The sha256 of the manifest is the version's digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import DigestMismatch, ManifestError
from runtime.formats import Format

MANIFEST_NAME = "manifest.json"
REQUIREMENTS_NAME = "requirements.txt"
MAX_MANIFEST_BYTES = 64 * 1024

# Fixed by the format, so that renaming a file in Git leaves the digest as it was.
ARTIFACT_NAMES = {
    Format.JOBLIB: "model.joblib",
    Format.PICKLE: "model.pkl",
    Format.SKOPS: "model.skops",
    Format.ONNX: "model.onnx",
    Format.XGBOOST: "model.xgboost",
    Format.LIGHTGBM: "model.lightgbm",
    Format.PYTHON: "model.tar",
}

_SCHEMA = 1
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class VersionRef:
    """One stored, complete version. `digest` is "sha256:" and 64 hex digits."""

    tenant: str
    model: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"version '{self.version}' of model '{self.model}' of tenant '{self.tenant}'"

    @property
    def hex(self) -> str:
        return self.digest.removeprefix("sha256:")

    @property
    def folder(self) -> str:
        """Where every store keeps its files, below the prefix."""
        return f"{self.tenant}/{self.model}/{self.version}/{self.hex}/"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version: its name there and its hex sha256."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    format: Format
    artifact: FileEntry
    requirements: FileEntry | None = None

    def __post_init__(self) -> None:
        _require_name(self.artifact, ARTIFACT_NAMES[self.format])
        if self.requirements:
            _require_name(self.requirements, REQUIREMENTS_NAME)
        for entry in self.files:
            if not _HEX.fullmatch(entry.sha256):
                raise ManifestError("Not a manifest", f"the sha256 of {entry.name} is not 64 hex digits")

    @classmethod
    def of(cls, model_format: Format, artifact_sha256: str, requirements_sha256: str | None = None) -> Manifest:
        """The manifest of an artifact and, where there is one, its requirements.txt (hex sha256s)."""
        requirements = FileEntry(REQUIREMENTS_NAME, requirements_sha256) if requirements_sha256 else None
        return cls(model_format, FileEntry(ARTIFACT_NAMES[model_format], artifact_sha256), requirements)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every file but the manifest itself."""
        return (self.artifact, self.requirements) if self.requirements else (self.artifact,)

    @property
    def digest(self) -> str:
        """ "sha256:" and the hex sha256 of `to_bytes()`: it pins every byte of the version."""
        return f"sha256:{hashlib.sha256(self.to_bytes()).hexdigest()}"

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal manifests have equal bytes."""
        document = {"schema": _SCHEMA, "format": self.format.value, "artifact": _entry_json(self.artifact)}
        if self.requirements:
            document["requirements"] = _entry_json(self.requirements)
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Inverse of `to_bytes()`. ManifestError for anything that `to_bytes()` can't have written."""
        manifest = _parse(data)
        if manifest.to_bytes() != data:
            raise ManifestError("Not a manifest", "it is not written the way that KubeServe writes manifests")
        return manifest


def verify_folder(folder: Path, digest: str | None = None) -> Manifest:
    """Checks a version's folder: the manifest against `digest` (None: any manifest), every file that it names
    against the manifest, streamed. Raises DigestMismatch, ManifestError, or OSError when unreadable."""
    data = _read_manifest(folder / MANIFEST_NAME)
    if digest is not None:
        _compare(MANIFEST_NAME, digest.removeprefix("sha256:"), hashlib.sha256(data).hexdigest())
    manifest = Manifest.from_bytes(data)
    for entry in manifest.files:
        _compare(entry.name, entry.sha256, sha256_of(folder / entry.name))
    return manifest


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, streamed; "absent" when there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "absent"


def _compare(file: str, expected: str, found: str) -> None:
    if expected != found:
        raise DigestMismatch(file, expected, found)


def _read_manifest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise ManifestError("Not a version", f"{path.parent} has no {MANIFEST_NAME}, so it is not complete") from None


def _parse(data: bytes) -> Manifest:
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError("Not a manifest", f"it is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        document = json.loads(data)
        if document["schema"] != _SCHEMA:
            raise ManifestError(
                "A manifest of another KubeServe",
                f"it has schema {document['schema']!r}, this KubeServe reads schema {_SCHEMA}",
            )
        requirements = document.get("requirements")
        return Manifest(
            Format(document["format"]), _entry(document["artifact"]), _entry(requirements) if requirements else None
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestError("Not a manifest", f"{type(error).__name__}: {error}") from error


def _entry(document: Any) -> FileEntry:
    name, sha256 = document["name"], document["sha256"]
    if not isinstance(name, str) or not isinstance(sha256, str):
        raise TypeError("a file has a name and a sha256, both text")
    return FileEntry(name, sha256)


def _entry_json(entry: FileEntry) -> dict[str, str]:
    return {"name": entry.name, "sha256": entry.sha256}


def _require_name(entry: FileEntry, name: str) -> None:
    if entry.name != name:
        raise ManifestError("Not a manifest", f"it names a file {entry.name!r} where {name!r} belongs")
