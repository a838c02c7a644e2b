"""The loader's result: healthy tenants, each part of which knows its file and place, and all problems.

Made by `loader.py`; read by every later stage, which adds problems of its own with `TenantSpec.problem`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from specs.models.tenant import DeploymentSpec, VersionSpec
from specs.problems import Place, Problem, Severity
from specs.syntax.documents import Key, Places


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a file or folder that may hold a spec is not read."""

    summary: str
    detail: str
    is_folder: bool = False  # a folder, whose content is unknown


@dataclass(frozen=True, slots=True)
class SpecFile:
    """One kubeserve.yaml, or a place where one may be that is not read. `path` is POSIX, from the root of its source:
    its identity there."""

    path: str
    content: bytes
    source: str = ""  # the source's name, where several are loaded together
    shown: str = ""  # the path that the user can open from his working directory, where that isn't `path`
    unread: Unread | None = None  # `content` is what is known of it all the same


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    model: str
    name: str
    spec: VersionSpec
    file: str  # what `artifact:` and `requirements:` are relative to: see `paths.resolve_path`
    source: str = ""
    places: Places = field(repr=False, compare=False, kw_only=True)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The version's place in the spec; `(*version.keys, "artifact")` is the place of its artifact."""
        return "models", self.model, "versions", self.name


@dataclass(frozen=True, slots=True)
class LoadedModel:
    name: str
    versions: Mapping[str, LoadedVersion]
    description: str | None
    file: str
    source: str = ""
    places: Places = field(repr=False, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class LoadedDeployment:
    name: str
    spec: DeploymentSpec
    file: str
    source: str = ""
    places: Places = field(repr=False, compare=False, kw_only=True)

    @property
    def keys(self) -> tuple[Key, ...]:
        return "deployments", self.name


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """A tenant as all its files define it."""

    name: str
    models: Mapping[str, LoadedModel]
    deployments: Mapping[str, LoadedDeployment]
    files: tuple[str, ...]
    places: Places = field(repr=False, compare=False, kw_only=True)  # of its first document

    def place(self, *keys: Key) -> Place:
        """The place of a path of keys, such as `deployments`, NAME, `version`; if absent, of the nearest parent."""
        return self._places(keys).place(keys)

    def problem(
        self,
        keys: Sequence[Key],
        summary: str,
        detail: str,
        *,
        code: str = "spec",
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """A problem that a later stage found at this place of the spec."""
        return self._places(keys).problem(keys, code, summary, detail, severity)

    def _places(self, keys: Sequence[Key]) -> Places:
        """The places of the document that defines the model or deployment, which may be any document of the tenant."""
        group, name = (str(keys[0]), str(keys[1])) if len(keys) > 1 else ("", "")
        if group == "models" and name in self.models:
            return self.models[name].places
        if group == "deployments" and name in self.deployments:
            return self.deployments[name].places
        return self.places


@dataclass(frozen=True, slots=True)
class Loaded:
    """`tenants` are the healthy ones; `problems` are in file order, warnings among them.

    `broken` tenants have an error in one of their files, so nothing of theirs is applied or deleted. `claimed` tenants
    are named by a file outside of their `paths:`: their own files are applied, but nothing of theirs is deleted until
    that file is removed. `unreadable`: the tenant of some file could not be determined.
    """

    tenants: Mapping[str, TenantSpec]
    problems: tuple[Problem, ...]
    broken: frozenset[str]
    unreadable: bool
    claimed: frozenset[str] = frozenset()

    @property
    def protected(self) -> frozenset[str] | None:
        """The tenants whose deployments must not be deleted; None means all tenants."""
        return None if self.unreadable else self.broken | self.claimed

    @property
    def ok(self) -> bool:
        """Whether there are no errors; there may be warnings."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)
