"""One round, in the order in which it happens: resolve, load, digest, compile, observe, prepare, plan; then apply.

Called by the commands that plan and apply. Each stage is a module of its own; this one only connects them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from reconciler.artifacts.protocol import ArtifactStore, Content
from reconciler.desired.compiling import NOTHING_ASKED, ask_sources
from reconciler.desired.sources import Read, collector_paused
from reconciler.desired.versions import OpenSource
from reconciler.engine.execute import Outcome, execute
from reconciler.engine.run import Event, Run
from reconciler.model.resources import FileOrigin, ResourceId
from reconciler.plan.diff import make_plan
from reconciler.plan.model import Plan, Stored
from reconciler.plan.options import Options
from reconciler.plan.world import World
from reconciler.state.recorder import Recorder
from reconciler.workspace import Workspace
from specs.errors import KubeServeError
from specs.problems import Problem

LISTING_THREADS = 8


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it was made from; `apply` carries out exactly this."""

    plan: Plan
    world: World
    read: Read
    problems: tuple[Problem, ...]

    @property
    def is_broken(self) -> bool:
        """Whether a spec has an error: its tenant is left as it is, the others are applied all the same."""
        return any(problem.severity == "error" for problem in self.problems)


@collector_paused()
def plan_round(workspace: Workspace, options: Options, say: Callable[[str], None]) -> Planned:
    """Everything up to the plan. Changes nothing but caches."""
    # What is to go does not hang on what the specs say, or on whether they can be read.
    asked = NOTHING_ASKED if options.destroy else ask_sources(workspace, workspace.target.runtime, say)
    desired, read = asked.desired, asked.read
    say("looking at what runs")
    state = workspace.state_file.load()
    live = workspace.target.observe(options.scope)
    stored = list_stored(workspace.store, {tenant.tenant for tenant in desired.tenants})
    world = World(desired, live, stored, workspace.target.prepare(desired, live), state)
    plan = make_plan(world, options, target=workspace.target.name, revision=read.label)
    return Planned(plan, world, read, asked.problems)


def apply_round(workspace: Workspace, planned: Planned, listen: Callable[[Event], None]) -> Outcome:
    """Carries out a plan. The caller holds the target's lock since before the plan was made."""
    cancelled = threading.Event()
    return execute(
        Run(
            plan=planned.plan,
            world=planned.world,
            store=workspace.store,
            contents=lambda origin: _content(workspace, planned.read.sources, origin),
            recorder=Recorder(workspace.state_file, planned.world.state),
            url_of=workspace.target.url,
            listen=listen,
            cancelled=cancelled,
        )
    )


def list_stored(store: ArtifactStore, tenants: Collection[str]) -> Stored:
    """One listing a tenant, several at once. A tenant whose listing fails is in trouble alone; KubeServeError when all
    fail, for then the store is away."""
    found: dict[ResourceId, frozenset[str]] = {}
    errors: dict[str, KubeServeError] = {}
    with ThreadPoolExecutor(LISTING_THREADS, thread_name_prefix="listing") as pool:
        listings = {tenant: pool.submit(store.list, tenant) for tenant in sorted(tenants)}
    for tenant, listing in listings.items():
        try:
            for ref in listing.result():
                found[ref.id] = found.get(ref.id, frozenset()) | {ref.digest}
        except KubeServeError as error:
            errors[tenant] = error
    if errors and len(errors) == len(listings):
        raise next(iter(errors.values()))
    return Stored(found, {tenant: error.trouble for tenant, error in errors.items()})


def _content(workspace: Workspace, sources: Mapping[str, OpenSource], origin: FileOrigin) -> Content:
    if origin.source:
        artifact = sources[origin.source].artifact(origin.path)
        return Content(artifact.open, artifact.size)
    from reconciler.sources.remote import open_remote
    from reconciler.sources.remote_access import remote_policy

    return open_remote(
        origin.path,
        origin.sha256,
        policy=remote_policy(workspace.platform, origin.tenant),
        max_bytes=workspace.platform.limits.artifact_bytes,
        allow_private=workspace.platform.allow.private_addresses,
    )
