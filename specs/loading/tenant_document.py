"""Validates one document of a kubeserve.yaml: returns its valid models and deployments, and its problems.

Called by `loader.py`, which then joins the documents of each tenant. Every entry is validated by itself, so that an
error in one doesn't hide those of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from specs.credentials import looks_like_credential
from specs.loading.faults import Part, empty_fields, problems_of
from specs.loading.loaded import LoadedDeployment, LoadedModel, LoadedVersion, SpecFile
from specs.models.fields import Model, TenantName
from specs.models.paths import PathError, resolve_path
from specs.models.tenant import DeploymentSpec, Description, VersionSpec
from specs.models.urls import is_url
from specs.names import check_label, check_tenant, check_version
from specs.problems import Problem, Refusal, Severity
from specs.syntax.builder import MAX_PROBLEMS
from specs.syntax.documents import KEY, Document, Key
from specs.syntax.scalars import taken_for, unquoted

M = TypeVar("M", bound=Model)
Keys = tuple[Key, ...]


class _TenantOutline(Model):
    """A TenantFile whose entries are validated one by one."""

    api_version: Literal["kubeserve.io/v1"]
    tenant: TenantName
    models: dict[str, Any] = Field(default_factory=dict)
    deployments: dict[str, Any] = Field(default_factory=dict)


class _ModelOutline(Model):
    """A ModelSpec whose versions are validated one by one."""

    versions: Annotated[dict[str, Any], Field(min_length=1)]
    description: Description | None = None


_OUTLINES = (_TenantOutline, _ModelOutline)


@dataclass(slots=True)
class TenantDocument:
    """The content of one document. `models` and `deployments` hold only the valid entries."""

    file: SpecFile
    document: Document
    tenant: str | None = None
    models: dict[str, LoadedModel] = field(default_factory=dict)
    deployments: dict[str, LoadedDeployment] = field(default_factory=dict)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether the limit of problems is reached, so that there is no use in looking for more."""
        return len(self.errors) >= MAX_PROBLEMS

    def report(self, keys: Keys, code: str, summary: str, detail: str, severity: Severity = Severity.ERROR) -> None:
        problems = self.errors if severity is Severity.ERROR else self.warnings
        if len(problems) < MAX_PROBLEMS:
            problems.append(self.document.places.problem(keys, code, summary, detail, severity))

    def entries(self, group: str) -> dict[str, Any]:
        """The entries of `models` or `deployments` as written, including invalid ones."""
        entries = self.document.data.get(group) if isinstance(self.document.data, dict) else None
        return entries if isinstance(entries, dict) else {}


def read_document(file: SpecFile, document: Document) -> TenantDocument:
    """Validates one document. `tenant` stays None if its name can't be read."""
    found = TenantDocument(file, document)
    data = document.data
    if not isinstance(data, dict):
        found.report((), "not-a-spec", "Not a spec", "A spec starts with 'apiVersion:' and 'tenant:' at the left edge.")
        return found
    _validate(found, _TenantOutline, data, ())
    if _is_a_name(found, ("tenant",), data.get("tenant")) and _passes(check_tenant, data["tenant"]):
        found.tenant = data["tenant"]
    for name, entry in _until_full(found, found.entries("models")):
        _read_model(found, name, entry)
    for name, entry in _until_full(found, found.entries("deployments")):
        _read_deployment(found, name, entry)
    return found


def _until_full(found: TenantDocument, entries: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, entry in entries.items():
        if found.is_full:
            return
        yield name, entry


def _read_model(found: TenantDocument, name: str, entry: Any) -> None:
    keys: Keys = ("models", name)
    _check(found, (*keys, KEY), partial(check_label, name, "model"))
    outline = _validate(found, _ModelOutline, entry, keys)
    versions: dict[str, LoadedVersion] = {}
    for version, value in _until_full(found, versions_of(entry)):
        at: Keys = (*keys, "versions", version)
        _check(found, (*at, KEY), partial(check_version, version))
        spec = _validate(found, VersionSpec, value, at)
        if spec is not None:
            _check_paths(found, spec, at)
            versions[version] = LoadedVersion(
                name, version, spec, found.file.path, found.file.source, places=found.document.places
            )
    description = outline.description if outline else None
    found.models[name] = LoadedModel(
        name, versions, description, found.file.path, found.file.source, places=found.document.places
    )


def versions_of(entry: Any) -> dict[str, Any]:
    """The versions of a model's entry as written, including invalid ones."""
    versions = entry.get("versions") if isinstance(entry, dict) else None
    return versions if isinstance(versions, dict) else {}


def _check_paths(found: TenantDocument, spec: VersionSpec, keys: Keys) -> None:
    """Reports paths that lead out of the source; only the source knows whether the files exist."""
    for name, path in (("artifact", spec.artifact), ("requirements", spec.requirements)):
        if path is None or is_url(path):
            continue
        try:
            resolve_path(found.file.path, path)
        except PathError as error:
            found.report((*keys, name), error.code, error.summary, error.detail)


def _read_deployment(found: TenantDocument, name: str, entry: Any) -> None:
    keys: Keys = ("deployments", name)
    _check(found, (*keys, KEY), partial(check_label, name, "deployment"))
    if isinstance(entry, dict):
        for field_name in ("model", "version"):
            _is_a_name(found, (*keys, field_name), entry.get(field_name))
        entry = _with_env_as_written(found, entry, keys)
        _warn_of_credentials(found, entry.get("env"), keys)
    spec = _validate(found, DeploymentSpec, entry, keys)
    if spec is not None:
        found.deployments[name] = LoadedDeployment(
            name, spec, found.file.path, found.file.source, places=found.document.places
        )


def _with_env_as_written(found: TenantDocument, entry: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """Keeps unquoted values as the user wrote them: `RATE: 1.10` is "1.10", and `DEBUG: true` is "true"."""
    env = entry.get("env")
    if not isinstance(env, dict) or all(isinstance(value, str | dict) for value in env.values()):
        return entry
    places = found.document.places
    written = {
        key: places.plain_scalar((*keys, "env", key)) or value if isinstance(value, int | float) else value
        for key, value in env.items()
    }
    return {**entry, "env": written}


def _warn_of_credentials(found: TenantDocument, env: Any, keys: Keys) -> None:
    for name, value in env.items() if isinstance(env, dict) else ():
        if isinstance(value, str) and looks_like_credential(value, name):
            found.report(
                (*keys, "env", name),
                "literal-credential",
                "A credential in the open?",
                f"The value of {name} looks like a credential, and everyone who can read this repository reads it. "
                f"Keep it as a secret and refer to it: {name}: {{secret: NAME, key: KEY}}.",
                Severity.WARNING,
            )


def _validate(found: TenantDocument, model: type[M], data: Any, keys: Keys) -> M | None:
    part = Part(model, data, found.document.places, keys)
    try:
        validated = model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        found.errors.extend(problems_of(error, part, MAX_PROBLEMS))
        return None
    if model in _OUTLINES:  # their entries are validated one by one
        part = Part(model, {key: value for key, value in data.items() if value is None}, part.places, keys)
    found.errors.extend(empty_fields(part, MAX_PROBLEMS))
    return validated


def _is_a_name(found: TenantDocument, keys: Keys, value: Any) -> bool:
    """Whether every YAML parser reads the name as text; reports names that some read as another type."""
    if not isinstance(value, str):
        return False
    meaning = taken_for(value)
    if meaning is None or found.document.places.is_quoted(keys):
        return True
    found.report(keys, *unquoted(value, meaning))
    return False


def _check(found: TenantDocument, keys: Keys, check: Callable[[], object]) -> None:
    try:
        check()
    except Refusal as refusal:
        found.report(keys, refusal.code, refusal.summary, refusal.detail)


def _passes(check: Callable[[str], object], value: str) -> bool:
    try:
        check(value)
    except Refusal:
        return False
    return True
