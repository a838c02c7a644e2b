"""One round, in the order in which it happens: lock, desired state, observe, prepare, plan, agreement, apply.

Each stage is a module of its own; this one only connects them. Whoever starts a round (a command, or a program) says
whether it agrees to the plan, listens to the events, and can cancel the round from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from reconciler.artifacts.protocol import ArtifactStore, Content
from reconciler.desired.line_endings import differing_by_line_endings
from reconciler.desired.stages import DesiredState, desired_state
from reconciler.desired.versions import OpenSource
from reconciler.engine.execute import Outcome, execute
from reconciler.engine.run import Event, Run, new_round_id
from reconciler.log import Log
from reconciler.model.resources import FileOrigin, ResourceId, version_id
from reconciler.plan.diff import make_plan
from reconciler.plan.inputs import PlanOptions, World
from reconciler.plan.model import Plan, Stored
from reconciler.state.recorder import Recorder
from reconciler.workspace import Workspace
from specs.errors import KubeServeError

LISTING_THREADS = 8


@dataclass(frozen=True, slots=True)
class RoundOptions:
    plan: PlanOptions
    command: str  # what the lock's owner is called
    lock_timeout: float = 0.0  # seconds to wait for a running round


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it was made from; `apply` carries out exactly this."""

    specs: DesiredState
    world: World
    plan: Plan
    round: str  # its id, also of a round that only plans


def run_round(
    workspace: Workspace,
    options: RoundOptions,
    *,
    agree: Callable[[Planned], bool],
    listen: Callable[[Event], None],
    cancel: threading.Event,
) -> Outcome | None:
    """Plans and applies under the target's lock, which is taken before the plan is made, so that what is agreed to is
    what is done.

    `agree` is called once, with the plan; when it answers no, nothing is changed and the answer is None. `listen` is
    called with every event, from several threads. Setting `cancel`, from any thread, ends the round: with None if
    `agree` had not answered yes yet, else with an outcome that is interrupted; in both cases once no call to the target
    is running. KubeServeError: nothing could be planned, or the record could not be written.
    """
    workspace.prepare_home()
    with workspace.target.lock(options.command, options.lock_timeout):
        planned = plan_round(workspace, options.plan)
        log = Log({"round": planned.round})
        if cancel.is_set() or not agree(planned) or cancel.is_set():
            log.info("not agreed to")
            return None
        outcome = _apply(workspace, planned, listen, cancel)
        log.info("ended", verdict=outcome.verdict)
        return outcome


def plan_round(workspace: Workspace, options: PlanOptions) -> Planned:
    """Everything up to the plan. Changes nothing but caches. `workspace.say` is called with each stage."""
    round_id = new_round_id()
    log = Log({"round": round_id})
    log.info("planning", target=workspace.target.name, only=",".join(options.scope.names) or "everything")
    # `destroy` never reads specs, so unreadable specs can't block a removal.
    specs = DesiredState() if options.destroy else desired_state(workspace, workspace.target.runtime)
    log.info("desired", revision=specs.revision, deployments=len(specs.graph.deployments), problems=len(specs.problems))
    workspace.say("looking at what runs")
    state = workspace.state_file.load()
    live = workspace.target.observe(options.scope)
    log.info("observed", resources=len(live.resources), recorded=len(state.resources), serial=state.serial)
    narrowed = specs.graph.of_tenants(options.scope.tenants)  # whole tenants, because a quota is a tenant's
    stored = _with_line_endings(
        list_stored(workspace.store, {tenant.tenant for tenant in narrowed.tenants}), specs, workspace
    )
    world = World(specs.graph, live, stored, workspace.target.prepare(narrowed, live), state)
    plan = make_plan(world, options, target=workspace.target.name, revision=specs.revision)
    log.info("planned", changes=sum(1 for _ in plan.work()), guards=len(plan.guards), unclaimed=len(plan.unclaimed))
    return Planned(specs, world, plan, round_id)


def _apply(workspace: Workspace, planned: Planned, listen: Callable[[Event], None], cancel: threading.Event) -> Outcome:
    return execute(
        Run(
            id=planned.round,
            plan=planned.plan,
            world=planned.world,
            store=workspace.store,
            contents=lambda origin: _content(workspace, planned.specs.sources, origin),
            recorder=Recorder(workspace.state_file, planned.world.state),
            url_of=workspace.target.url,
            listen=listen,
            cancelled=cancel,
        )
    )


def list_stored(store: ArtifactStore, tenants: Collection[str]) -> Stored:
    """One listing a tenant, several at once. A tenant whose listing fails is in trouble alone; KubeServeError when all
    fail, for then the store is away."""
    digests: dict[ResourceId, frozenset[str]] = {}
    errors: dict[str, KubeServeError] = {}
    with ThreadPoolExecutor(LISTING_THREADS, thread_name_prefix="listing") as pool:
        listings = {tenant: pool.submit(store.list, tenant) for tenant in sorted(tenants)}
    for tenant, listing in listings.items():
        try:
            for ref in listing.result():
                version = version_id(ref.tenant, ref.model, ref.version)
                digests[version] = digests.get(version, frozenset()) | {ref.digest}
        except KubeServeError as error:
            errors[tenant] = error
    if errors and len(errors) == len(listings):
        raise next(iter(errors.values()))
    return Stored(digests, {tenant: error.trouble for tenant, error in errors.items()})


def _with_line_endings(stored: Stored, specs: DesiredState, workspace: Workspace) -> Stored:
    def read(origin: FileOrigin) -> Content:
        return _content(workspace, specs.sources, origin)

    return replace(stored, line_endings=differing_by_line_endings(specs.graph.versions, stored.digests, read))


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
