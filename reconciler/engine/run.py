"""What every walk of one round shares: the plan, the target, the store, the ledger, and who listens."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from reconciler.artifacts.protocol import ArtifactStore, Content, VersionRef
from reconciler.engine.ledger import Ledger, RecordedFailure
from reconciler.engine.scheduler import Interrupted
from reconciler.engine.serving import Serving
from reconciler.log import Log
from reconciler.model.resources import DesiredVersion, FileOrigin, Kind, ResourceId
from reconciler.plan.inputs import World
from reconciler.plan.model import Plan
from reconciler.state.model import FAILED_PHASES, Phase
from reconciler.state.recorder import Recorder
from specs.errors import KubeServeError


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a round. `sent`: bytes uploaded since the last event. `phase`: set when the resource is done."""

    round: str
    time: datetime
    resource: ResourceId
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


def new_round_id() -> str:
    return str(uuid.uuid4())


@dataclass
class Run:
    """One run of a plan. `contents` opens the bytes of a version's file; `cancelled` stops the run when it is set."""

    plan: Plan
    world: World
    store: ArtifactStore
    contents: Callable[[FileOrigin], Content]
    recorder: Recorder
    url_of: Callable[[ResourceId], str | None]
    listen: Callable[[Event], None]
    id: str = field(default_factory=new_round_id)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    cancelled: threading.Event = field(default_factory=threading.Event)
    results: dict[ResourceId, Result] = field(default_factory=dict)

    def log(self, resource: ResourceId) -> Log:
        return Log({"round": self.id}).about(resource)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.recorder, self.world.desired, self.id, self.clock)

    @cached_property
    def serving(self) -> Serving:
        return Serving(self.world)

    def note(self, resource: ResourceId, text: str = "", sent: int = 0) -> None:
        self._tell(Event(self.id, self.clock(), resource, text, sent))

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
        self.note(resource, sent=sent)

    def url(self, deployment: ResourceId) -> str:
        return self.url_of(deployment) or ""

    def succeeded(self, resource: ResourceId, reason: str, url: str = "") -> None:
        self.ledger.ready(resource, reason, url)
        self._done(Result(resource, Phase.READY, url=url))

    def failed(self, resource: ResourceId, failure: RecordedFailure, phase: Phase | None = None) -> None:
        phase = phase or self.failed_phase(resource)
        self.ledger.failed(resource, failure, phase)
        self._done(Result(resource, phase, failure.message, failure.log))

    def failed_phase(self, resource: ResourceId) -> Phase:
        return Phase.DEGRADED if self.serving.serves(resource) else Phase.FAILED

    def gone(self, resource: ResourceId) -> None:
        self.ledger.gone(resource)
        if resource.kind is not Kind.VARIANT:
            self._done(Result(resource, None))

    @contextmanager
    def failing_as(self, resource: ResourceId, reason: str, phase: Phase | None = None) -> Iterator[None]:
        """Records the error that ends a walk, then raises it on, for the walks that join this one."""
        try:
            yield
        except (Interrupted, KeyboardInterrupt):
            self.ledger.interrupted(resource)
            raise
        except KubeServeError as error:
            failure = RecordedFailure(getattr(error, "reason", reason), error.sentence, getattr(error, "log", ()))
            self.failed(resource, failure, phase)
            raise
        except Exception as error:  # a bug of ours or a library's stops this resource only
            self.log(resource).debug("unexpected error", error=error)
            self.failed(resource, RecordedFailure("InternalError", f"{type(error).__name__}: {error}"), phase)
            raise

    def _done(self, result: Result) -> None:
        self.results[result.id] = result
        phase = result.phase or Phase.DELETING
        self._tell(Event(self.id, self.clock(), result.id, result.message, phase=phase, log=result.log))

    def _tell(self, event: Event) -> None:
        if event.phase in FAILED_PHASES:
            self.log(event.resource).warning(str(event.phase), message=event.text)
        elif event.phase or event.text:
            self.log(event.resource).info(event.text or str(event.phase))
        with suppress(Exception):  # a listener that fails (its terminal went away) can't make a rollout fail
            self.listen(event)
