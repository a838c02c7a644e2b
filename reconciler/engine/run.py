"""What every walk of one round shares: the plan, the target, the store, the record, and who listens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from reconciler.artifacts.protocol import ArtifactStore, Content, VersionRef
from reconciler.engine.scheduler import Interrupted
from reconciler.model.described import drain_seconds
from reconciler.model.graph_digest import deployment_digest
from reconciler.model.resources import (
    DesiredVariant,
    DesiredVersion,
    FileOrigin,
    Kind,
    ResourceId,
    tenant_id,
)
from reconciler.plan.model import Plan
from reconciler.plan.world import World
from reconciler.state.model import FAILED_PHASES, KEPT_LOG_LINES, Phase, Record
from reconciler.state.recorder import Recorder
from reconciler.targets.protocol import Target
from specs.errors import KubeServeError

FIRST_BACKOFF_SECONDS = 10
LONGEST_BACKOFF_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell who watches. `sent` bytes went on; `phase` is set when the resource is done."""

    id: ResourceId
    text: str = ""
    sent: int = 0
    phase: Phase | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How it went with one resource; `phase` None: it is gone."""

    id: ResourceId
    phase: Phase | None
    message: str = ""
    log: tuple[str, ...] = ()
    url: str = ""


@dataclass
class Run:
    plan: Plan
    world: World
    target: Target
    store: ArtifactStore
    contents: Callable[[FileOrigin], Content]
    recorder: Recorder
    url_of: Callable[[ResourceId], str | None]
    listen: Callable[[Event], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    cancelled: threading.Event = field(default_factory=threading.Event)
    results: dict[ResourceId, Result] = field(default_factory=dict)
    moved: set[ResourceId] = field(default_factory=set)  # deployments whose traffic this round has moved
    seen_serving: dict[ResourceId, bool] = field(default_factory=dict)  # deployments that were looked at again

    def note(self, resource: ResourceId, text: str) -> None:
        self._tell(Event(resource, text))

    def upload(self, version: DesiredVersion) -> None:
        """Streams a version's files into the store. Runs in a worker."""
        if version.manifest is None:
            return
        files = {}
        for entry, origin in (
            (version.manifest.artifact, version.artifact),
            (version.manifest.requirements, version.requirements),
        ):
            if entry is not None and origin is not None:
                files[entry.name] = self.contents(origin)
        ref = VersionRef(version.id.tenant, version.model, version.version, version.digest)
        self.store.put(ref, version.manifest, files, lambda sent: self._sent(version.id, sent))

    def _sent(self, resource: ResourceId, sent: int) -> None:
        if self.cancelled.is_set():
            raise Interrupted("Interrupted")
        self._tell(Event(resource, sent=sent))

    def _tell(self, event: Event) -> None:
        with suppress(Exception):  # who watches (a terminal that went away) can't make a rollout fail
            self.listen(event)

    def url(self, deployment: ResourceId) -> str:
        return self.url_of(deployment) or ""

    def tenant_of(self, resource: ResourceId) -> ResourceId:
        return tenant_id(resource.tenant)

    def is_routed(self, variant: DesiredVariant) -> bool:
        """Whether it was in the deployment's route when the round began: proven, and perhaps serving."""
        route = self.world.live.resources.get(variant.deployment)
        return route is not None and variant.id in route.weights and variant.id in self.world.live.resources

    def initial_replicas(self, variant: DesiredVariant) -> int:
        """As many as serve now, so that traffic which moves finds the same capacity."""
        route = self.world.live.resources.get(variant.deployment)
        serving = (
            [self.world.live.resources[v] for v in route.weights if v in self.world.live.resources] if route else []
        )
        now = max((old.replicas for old in serving), default=0)
        return max(variant.replicas.min, min(now, variant.replicas.max))

    def drain_seconds(self, resource: ResourceId) -> float:
        """How long a variant, or what else goes, may take to end what it answers."""
        variant = self.world.desired.variants.get(resource)
        if variant is not None:
            return variant.drain_seconds
        there = self.world.live.resources.get(resource)
        told = drain_seconds(there.fields) if there else None
        return DEFAULT_DRAIN_SECONDS if told is None else told

    def deletions_of(self, tenant: str) -> tuple[ResourceId, ...]:
        return tuple(c.id for c in self.plan.deletions if c.id.tenant == tenant and c.id.kind is Kind.DEPLOYMENT)

    def serves(self, resource: ResourceId) -> bool:
        """Whether something answers under a deployment's address, as far as was last seen; whether all that a version
        is for is served, if by other content; whether a tenant is there."""
        if resource.kind is Kind.TENANT:
            return resource in self.world.live.resources
        if resource.kind is Kind.VERSION:
            users = self._users_of.get(resource, ())
            return bool(users) and all(self.serves(user) for user in users)
        route = self.world.live.resources.get(resource)
        if route is not None and not route.reachable and resource not in self.moved:
            return False
        if resource in self.seen_serving:
            return self.seen_serving[resource]
        return any(self.world.live.resources[variant].ready for variant in self._routed(resource))

    def serving(self, deployment: ResourceId) -> tuple[ResourceId, ...]:
        """The variants that take a deployment's traffic now."""
        if deployment in self.moved:
            weights = self.world.desired.deployments[deployment].weights
            return tuple(variant for variant, weight in weights.items() if weight)
        return self._routed(deployment)

    def _routed(self, deployment: ResourceId) -> tuple[ResourceId, ...]:
        """The variants that took its traffic when the round began."""
        route = self.world.live.resources.get(deployment)
        weights = route.weights if route else {}
        return tuple(variant for variant, weight in weights.items() if weight and variant in self.world.live.resources)

    @cached_property
    def _users_of(self) -> Mapping[ResourceId, set[ResourceId]]:
        """The deployments that each version is for."""
        found: dict[ResourceId, set[ResourceId]] = {}
        for variant in self.world.desired.variants.values():
            found.setdefault(variant.version, set()).add(variant.deployment)
        return found

    def succeeded(self, resource: ResourceId, reason: str, *, applied: str = "", url: str = "") -> None:
        digest = applied or self.digest_of(resource)
        record = Record(Phase.READY, digest, digest, reason, "", self._now(), url)
        previous = self.recorder.record(resource)
        if previous and previous.phase is Phase.READY and previous.applied == digest:
            record = replace(record, since=previous.since)
        for variant in self._variants_of(resource):  # first: a deployment is only recorded Ready with all of it
            self.recorder.update(variant, replace(record, url=""))
        self.recorder.update(resource, record)
        self._done(Result(resource, Phase.READY, url=url))

    def failed(
        self,
        resource: ResourceId,
        reason: str,
        message: str,
        log: tuple[str, ...] = (),
        phase: Phase | None = None,
    ) -> None:
        """The end of a walk. What `blame` has recorded already is no second failure."""
        record = self.blame(resource, reason, message, log, phase)
        for variant in self._variants_of(resource):
            kept = self.recorder.record(variant)  # what never served is gone by now
            if kept is not None and kept.phase is not Phase.READY:
                self.recorder.update(variant, replace(record, url="", log=()))
        self._done(Result(resource, record.phase, message, log))

    def blame(
        self,
        resource: ResourceId,
        reason: str,
        message: str,
        log: tuple[str, ...] = (),
        phase: Phase | None = None,
    ) -> Record:
        """Records why a resource fails, while its walk still cleans up."""
        phase = phase or (Phase.DEGRADED if self.serves(resource) else Phase.FAILED)
        previous = self.recorder.record(resource) or Record(phase)
        digest = self.digest_of(resource)
        attempts = previous.attempts if previous.desired == digest else 0
        attempts += previous.phase not in FAILED_PHASES  # its claim was Progressing: not counted in this round yet
        backoff = min(FIRST_BACKOFF_SECONDS * 2 ** min(attempts - 1, 10), LONGEST_BACKOFF_SECONDS)
        record = Record(
            phase,
            digest,
            previous.applied,
            reason,
            message,
            self._now(),
            previous.url,
            attempts,
            (self.clock() + timedelta(seconds=backoff)).isoformat(timespec="seconds"),
            log[-KEPT_LOG_LINES:],
        )
        self.recorder.update(resource, record)
        return record

    def deleting(self, resource: ResourceId) -> None:
        previous = self.recorder.record(resource)
        base = previous or Record(Phase.DELETING)
        self.recorder.update(resource, replace(base, phase=Phase.DELETING, reason="", message="", since=self._now()))
        self.note(resource, "removing")

    def gone(self, resource: ResourceId) -> None:
        self.recorder.forget(resource)
        if resource.kind is not Kind.VARIANT:
            self._done(Result(resource, None))

    @contextmanager
    def failing_as(self, resource: ResourceId, reason: str, phase: Phase | None = None) -> Iterator[None]:
        """Records what a walk fails with, then lets the failure end the walk: who joins it is told."""
        try:
            yield
        except (Interrupted, KeyboardInterrupt):
            self.interrupted(resource)
            raise
        except KubeServeError as error:
            self.failed(resource, getattr(error, "reason", reason), error.sentence, getattr(error, "log", ()), phase)
            raise
        except Exception as error:  # a bug of ours or a library's stops this resource only
            self.failed(resource, "InternalError", f"{type(error).__name__}: {error}", phase=phase)
            raise

    def digest_of(self, resource: ResourceId) -> str:
        if resource.kind is Kind.DEPLOYMENT and resource in self.world.desired.deployments:
            return deployment_digest(self.world.desired, self.world.desired.deployments[resource])
        if resource in self.world.desired.versions:
            return self.world.desired.versions[resource].digest
        return ""

    def interrupted(self, resource: ResourceId) -> None:
        """Records it of a walk that has not come to its end."""
        previous = self.recorder.record(resource)
        if previous is not None and previous.phase not in FAILED_PHASES:  # else it is known already why it failed
            message = "The round was interrupted; the next one goes on."
            self.recorder.update(resource, replace(previous, reason="Interrupted", message=message))

    def _variants_of(self, resource: ResourceId) -> tuple[ResourceId, ...]:
        return tuple(v.id for v in self.world.desired.variants_of.get(resource, ()))

    def _done(self, result: Result) -> None:
        self.results[result.id] = result
        self._tell(Event(result.id, result.message, phase=result.phase or Phase.DELETING, log=result.log))

    def _now(self) -> str:
        return self.clock().isoformat(timespec="seconds")


DEFAULT_DRAIN_SECONDS = 30.0
