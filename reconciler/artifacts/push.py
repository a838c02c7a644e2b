"""Makes a version of local files, whose bytes are not in Git: the first half of `kubeserve push`.

In: files and a name. Out: the digest, which a spec then names, and the contents for a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.artifacts import contents
from reconciler.artifacts.protocol import Content, VersionRef
from runtime.formats import Format
from runtime.manifest import Manifest
from specs.errors import KubeServeError
from specs.models.platform import Limits
from specs.names import check_label, check_tenant, check_version
from specs.problems import Refusal


class PushError(KubeServeError):
    """The tenant, model or version to push has an invalid name."""

    code = "push"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a user asks to push: a file, or a folder with a Python predictor, and the names for it."""

    artifact: Path
    tenant: str
    model: str
    version: str
    requirements: Path | None = None
    format: Format | None = None  # if the file's name doesn't show it


@dataclass(frozen=True, slots=True)
class PreparedPush:
    """A version whose digest is known, ready to be stored."""

    ref: VersionRef
    manifest: Manifest
    files: Mapping[str, Content]

    @property
    def size(self) -> int:
        """Bytes to upload."""
        return sum(content.size or 0 for content in self.files.values())


def prepare_push(new: NewVersion, limits: Limits) -> PreparedPush:
    """Reads every file once, for its sha256. Raises PushError, ContentError."""
    _check_names(new)
    artifact = contents.artifact(new.artifact, limits.artifact_bytes, new.format)
    requirements = contents.requirements(new.requirements, limits.requirements_bytes) if new.requirements else None
    manifest = Manifest.of(
        artifact.format,
        contents.sha256_of(artifact.content),
        contents.sha256_of(requirements) if requirements else None,
    )
    files = {manifest.artifact.name: artifact.content}
    if manifest.requirements and requirements:
        files[manifest.requirements.name] = requirements
    return PreparedPush(VersionRef(new.tenant, new.model, new.version, manifest.digest), manifest, files)


def _check_names(new: NewVersion) -> None:
    try:
        check_tenant(new.tenant)
        check_label(new.model, "model")
        check_version(new.version)
    except Refusal as refusal:
        raise PushError(refusal.summary, refusal.detail) from refusal
