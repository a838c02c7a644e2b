"""From sources to the desired graph: read, digest, compile. Changes nothing but caches, and asks no target anything.

Called by `reconcile.py`, and by `kubeserve render`, which needs no more.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from reconciler.desired.graph import Compilable, compile_graph
from reconciler.desired.sources import NOTHING, Read, in_file_order, read_sources
from reconciler.desired.versions import Digested, digest_versions
from reconciler.model.resources import Desired
from reconciler.sources.digests import DigestCache
from reconciler.workspace import Workspace
from specs.problems import Problem

DIGEST_CACHE = "digests"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the sources ask for, and everything that is wrong with it."""

    desired: Desired
    read: Read
    problems: tuple[Problem, ...] = ()


NOTHING_ASKED = Asked(Desired({}, {}, {}, {}), NOTHING)


def ask_sources(workspace: Workspace, runtime: str, say: Callable[[str], None]) -> Asked:
    """The desired graph of every tenant that is healthy. `runtime`: what runs its variants."""
    workspace.prepare_caches()
    say("reading specs")
    read = read_sources(workspace)
    digested = _digest(workspace, read, say)
    problems = in_file_order((*read.problems, *digested.problems))
    return Asked(_compile(workspace, runtime, read, digested), read, problems)


def _digest(workspace: Workspace, read: Read, say: Callable[[str], None]) -> Digested:
    cache = DigestCache(workspace.paths.cache / DIGEST_CACHE)
    healthy = read.healthy
    parts = tuple(parts for parts in read.found.parts if parts.tenant in healthy)
    return digest_versions(replace(read.found, parts=parts), healthy, cache, _Reading(say))


class _Reading:
    """Says how much was read for digests, all in all; called from several threads."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = Lock()
        self._bytes = 0
        say("computing digests")

    def __call__(self, read: int) -> None:
        with self._lock:
            before, self._bytes = self._bytes >> 20, self._bytes + read
            if self._bytes >> 20 != before:
                self._say(f"computing digests, {self._bytes >> 20} MiB read")


def _compile(workspace: Workspace, runtime: str, read: Read, digested: Digested) -> Desired:
    tenants = [
        Compilable(
            name,
            {deployment.name: deployment.spec for deployment in spec.deployments.values()},
            digested.versions[name],
        )
        for name, spec in read.healthy.items()
        if name not in digested.broken
    ]
    protected = read.loaded.protected
    if protected is not None:
        protected |= read.found.broken | digested.broken
    release = importlib.metadata.version("kubeserve")
    return compile_graph(tenants, workspace.platform, runtime, protected, release)
