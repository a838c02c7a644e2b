"""The digests stage: what each version of the healthy specs is made of, and the digest that pins it.

In: loaded specs, open sources at their revisions. Out: desired versions, and problems at their place in the spec.
`kubeserve validate` stops after `find_parts`, which reads no more than first bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from reconciler.model.resources import DesiredVersion, FileOrigin, ResourceId, version_id
from reconciler.sources.digests import DigestCache, Report, digest_all
from reconciler.sources.paths import shown
from reconciler.sources.protocol import Revision, Source, SourceArtifact, SourceError
from reconciler.sources.remote_access import remote_policy
from runtime.errors import RuntimeFault
from runtime.formats import Format, format_by_suffix, infer_format
from runtime.manifest import Manifest
from specs.errors import KubeServeError
from specs.loading.loader import LoadedVersion, TenantSpec, resolve_path
from specs.models.platform import Limits, Platform
from specs.models.quantities import format_memory
from specs.models.remote import RemotePolicy
from specs.problems import Problem, Refusal

T = TypeVar("T")

PREDICTOR_FILE = "predictor.py"


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source at the revision that this round reads."""

    source: Source
    revision: Revision

    def artifact(self, path: str) -> SourceArtifact:
        return self.source.artifact(self.revision, path)


@dataclass(frozen=True, slots=True)
class VersionParts:
    """A version whose files were found; their sha256 is not known yet. None: a remote one, or there is none."""

    tenant: str
    version: LoadedVersion
    format: Format | None  # None: named by its digest alone
    artifact: SourceArtifact | None = None
    requirements: SourceArtifact | None = None

    @property
    def id(self) -> ResourceId:
        return version_id(self.tenant, self.version.model, self.version.name)


@dataclass(frozen=True, slots=True)
class Found:
    parts: tuple[VersionParts, ...]
    problems: tuple[Problem, ...]
    broken: frozenset[str]  # tenants of which a version has a problem


@dataclass(frozen=True, slots=True)
class Digested:
    versions: Mapping[str, Mapping[ResourceId, DesiredVersion]]  # tenant -> its versions
    problems: tuple[Problem, ...]
    broken: frozenset[str]


def find_parts(tenants: Iterable[TenantSpec], sources: Mapping[str, OpenSource], platform: Platform) -> Found:
    """Looks for every file that versions name: there, of a known format, within the limits. Remote artifacts are not
    looked at; whether their tenant may fetch them is checked."""
    parts: list[VersionParts] = []
    problems: list[Problem] = []
    broken: set[str] = set()
    for tenant in tenants:
        policy = remote_policy(platform, tenant.name)
        for model in tenant.models.values():
            for version in model.versions.values():
                finder = _Finder(tenant, version, sources[version.source], platform.limits, policy)
                found = finder.find()
                parts += [found] if found else []
                problems += finder.problems
                broken |= {tenant.name} if finder.problems else set()
    return Found(tuple(parts), tuple(problems), frozenset(broken))


def digest_versions(found: Found, tenants: Mapping[str, TenantSpec], cache: DigestCache, report: Report) -> Digested:
    """Computes what is not cached, and makes each version's manifest and digest."""
    files = dict(_files(found.parts))
    digests = digest_all(files, cache, report)
    versions: dict[str, dict[ResourceId, DesiredVersion]] = {name: {} for name in tenants}
    problems: list[Problem] = []
    broken: set[str] = set()
    for parts in found.parts:
        outcome = _desired(parts, digests)
        if isinstance(outcome, DesiredVersion):
            versions[parts.tenant][parts.id] = outcome
        else:
            broken.add(parts.tenant)
            problems.append(tenants[parts.tenant].problem((*parts.version.keys, outcome.key), *outcome.words))
    return Digested(versions, tuple(problems), frozenset(broken))


class _Finder:
    """Finds the files of one version and collects what is wrong with them."""

    def __init__(
        self, tenant: TenantSpec, version: LoadedVersion, source: OpenSource, limits: Limits, policy: RemotePolicy
    ) -> None:
        self._policy = policy
        self._tenant = tenant
        self._version = version
        self._source = source
        self._limits = limits
        self.problems: list[Problem] = []

    def find(self) -> VersionParts | None:
        spec = self._version.spec
        if spec.artifact is None:
            return VersionParts(self._tenant.name, self._version, None)
        named = Format(spec.format) if spec.format else None
        requirements = self._file("requirements", spec.requirements, self._limits.requirements_bytes)
        if spec.is_remote:
            self._check_grant(spec.artifact or "")
            model_format = self._try("artifact", lambda: named or format_by_suffix(spec.artifact or ""))
            artifact = None
        else:
            artifact = self._file("artifact", spec.artifact, self._limits.artifact_bytes)
            model_format = self._format(artifact, named) if artifact else None
        if self.problems or model_format is None:
            return None
        return VersionParts(self._tenant.name, self._version, model_format, artifact, requirements)

    def _file(self, key: str, path: str | None, limit: int) -> SourceArtifact | None:
        if path is None:
            return None
        found = self._try(key, lambda: self._source.artifact(resolve_path(self._version.file, path)))
        if found is None:
            return None
        if found.size > limit:
            self._problem(
                key,
                "File is larger than allowed",
                f"{shown(path)} has {found.size} bytes; the operator's limit is {format_memory(limit)}.",
            )
        if key == "requirements" and found.is_folder:
            self._problem(key, "Not a file", f"{shown(path)} is a folder; name a requirements.txt.")
        return found

    def _check_grant(self, url: str) -> None:
        try:
            self._policy.check(url)
        except Refusal as refusal:
            self._problem("artifact", refusal.summary, refusal.detail)

    def _format(self, artifact: SourceArtifact, named: Format | None) -> Format | None:
        if artifact.is_folder and self._try("artifact", lambda: self._predictor(artifact)) is None:
            return None
        return self._try(
            "artifact",
            lambda: infer_format(artifact.path, artifact.read_head(), folder=artifact.is_folder, named=named),
        )

    def _predictor(self, folder: SourceArtifact) -> SourceArtifact:
        try:
            return self._source.artifact(f"{folder.path}/{PREDICTOR_FILE}")
        except SourceError as error:
            raise SourceError(
                f"Folder without {PREDICTOR_FILE}",
                f"{shown(folder.path)} is a folder, and a folder is a Python predictor: it needs a {PREDICTOR_FILE} "
                "with a class Predictor.",
            ) from error

    def _try(self, key: str, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except (KubeServeError, RuntimeFault) as error:
            if getattr(error, "retryable", False):
                raise  # the source is away, which says nothing about the spec
            self._problem(key, error.summary, error.detail)
            return None

    def _problem(self, key: str, summary: str, detail: str) -> None:
        keys = (*self._version.keys, key)
        self.problems.append(self._tenant.problem(keys, summary, detail, code="artifact"))


@dataclass(frozen=True, slots=True)
class _Wrong:
    key: str
    summary: str
    detail: str

    @property
    def words(self) -> tuple[str, str]:
        return self.summary, self.detail


FileKey = tuple[ResourceId, str]  # a version, and "artifact" or "requirements"


def _files(parts: Iterable[VersionParts]) -> Iterator[tuple[FileKey, SourceArtifact]]:
    for one in parts:
        if one.artifact is not None:
            yield (one.id, "artifact"), one.artifact
        if one.requirements is not None:
            yield (one.id, "requirements"), one.requirements


def _desired(parts: VersionParts, digests: Mapping[FileKey, str | SourceError]) -> DesiredVersion | _Wrong:
    spec, version = parts.version.spec, parts.version
    if parts.format is None:
        return DesiredVersion(parts.id, version.model, version.name, spec.digest or "", None)
    artifact = digests.get((parts.id, "artifact"), spec.sha256 or "")
    requirements = digests.get((parts.id, "requirements"))
    for key, digest in (("artifact", artifact), ("requirements", requirements)):
        if isinstance(digest, SourceError):
            return _Wrong(key, digest.summary, digest.detail)
    if spec.sha256 and artifact != spec.sha256:
        return _Wrong("sha256", "File has another sha256", f"{shown(spec.artifact or '')} has sha256 {artifact}.")
    manifest = Manifest.of(parts.format, str(artifact), str(requirements) if requirements else None)
    return DesiredVersion(
        parts.id,
        version.model,
        version.name,
        manifest.digest,
        manifest,
        _origin(parts, parts.artifact, str(artifact)),
        _origin(parts, parts.requirements, str(requirements)) if requirements else None,
    )


def _origin(parts: VersionParts, found: SourceArtifact | None, sha256: str) -> FileOrigin:
    if found is None:
        return FileOrigin("", parts.version.spec.artifact or "", sha256, None, parts.tenant)
    return FileOrigin(parts.version.source, found.path, sha256, found.size, parts.tenant)
