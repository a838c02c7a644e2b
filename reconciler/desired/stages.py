"""From sources to the desired graph: resolve, load, find, digest, compile. Changes nothing but caches; calls no target.

A command that needs less stops after an earlier stage; what only later stages need is imported by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Lock

from reconciler.desired.versions import Digested, Found, OpenSource, digest_versions, find_parts
from reconciler.model.resources import Desired
from reconciler.workspace import Workspace
from specs.loading.loader import Loaded, TenantSpec, load_tenants
from specs.names import listing
from specs.problems import Problem, Severity

DIGEST_CACHE = "digests"


class Stage(StrEnum):
    FOUND = "found"  # the specs are loaded, and the files that they name exist
    COMPILED = "compiled"  # the files have digests, and the graph is complete


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What the sources ask for, at one revision each, and everything that is wrong with it."""

    graph: Desired = field(default_factory=lambda: Desired({}, {}, {}, {}))  # of the tenants without an error
    problems: tuple[Problem, ...] = ()
    tenants: Mapping[str, TenantSpec] = field(default_factory=dict)  # as loaded
    sources: Mapping[str, OpenSource] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """The revisions for people."""
        return ", ".join(opened.revision.label for opened in self.sources.values())

    @property
    def is_broken(self) -> bool:
        """Whether a spec has an error: its tenant is left as it is, the others are applied all the same."""
        return any(problem.severity == "error" for problem in self.problems)


def desired_state(workspace: Workspace, runtime: str = "", until: Stage = Stage.COMPILED) -> DesiredState:
    """`runtime` identifies what runs variants; only the last stage needs it. SourceError: a source can't be read."""
    if until is Stage.COMPILED:
        workspace.prepare_caches()
    workspace.say("reading specs")
    sources = {source.name: OpenSource(source, source.resolve()) for source in workspace.sources}
    loaded = _load(workspace, sources)
    found = find_parts(loaded.tenants.values(), sources, workspace.platform)
    problems = _in_file_order((*loaded.problems, *found.problems))
    state = DesiredState(problems=problems, tenants=loaded.tenants, sources=sources)
    return state if until is Stage.FOUND else _compiled(workspace, runtime, state, loaded, found)


def _load(workspace: Workspace, sources: Mapping[str, OpenSource]) -> Loaded:
    """All specs, with one loader."""
    several = len(sources) > 1
    files = [
        replace(file, source=name, shown=opened.source.shown(file.path, qualified=several))
        for name, opened in sources.items()
        for file in opened.source.spec_files(opened.revision)
    ]
    loaded = load_tenants(files, workspace.platform)
    if loaded.problems or not all(file.unread for file in files):
        return loaded
    return replace(loaded, problems=(_no_specs(sources.values()),))


def _no_specs(sources: Iterable[OpenSource]) -> Problem:
    where = listing(opened.source.location for opened in sources)
    return Problem(
        Severity.ERROR,
        "no-specs",
        None,
        "No kubeserve.yaml was found",
        f"There is none in {where} or below. `kubeserve init` writes a first one; if they are elsewhere, name that "
        "directory or Git URL.",
    )


def _compiled(workspace: Workspace, runtime: str, state: DesiredState, loaded: Loaded, found: Found) -> DesiredState:
    import importlib.metadata

    from reconciler.desired.graph import compile_graph

    healthy = {name: spec for name, spec in loaded.tenants.items() if name not in found.broken}
    digested = _digest(workspace, healthy, found)
    protected = loaded.protected
    if protected is not None:
        protected |= found.broken | digested.broken
    graph = compile_graph(
        [spec for name, spec in healthy.items() if name not in digested.broken],
        digested.versions,
        workspace.platform,
        runtime,
        protected,
        release=importlib.metadata.version("kubeserve"),
    )
    return replace(state, graph=graph, problems=_in_file_order((*state.problems, *digested.problems)))


def _digest(workspace: Workspace, healthy: Mapping[str, TenantSpec], found: Found) -> Digested:
    from reconciler.sources.digests import DigestCache

    cache = DigestCache(workspace.paths.cache / DIGEST_CACHE)
    parts = tuple(parts for parts in found.parts if parts.tenant in healthy)
    return digest_versions(replace(found, parts=parts), healthy, cache, _Reading(workspace))


class _Reading:
    """Reports how much was read for digests in total. Called from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._say = workspace.say
        self._lock = Lock()
        self._bytes = 0
        self._say("computing digests")

    def __call__(self, read: int) -> None:
        with self._lock:
            before, self._bytes = self._bytes >> 20, self._bytes + read
            if self._bytes >> 20 != before:
                self._say(f"computing digests, {self._bytes >> 20} MiB read")


def _in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems without a place come first."""
    return tuple(sorted(problems, key=lambda p: (p.place is not None, p.place)))
