"""What the engine and the commands may ask of where deployments run. Each target implements `DeploymentTarget`.

A round observes, prepares, and carries out its plan with what was prepared. Fingerprints and snapshots are opaque to
everything above the targets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from reconciler.model.described import FieldChange
from reconciler.model.resources import Desired, Replicas, ResourceId, Scope
from reconciler.targets.ownership import Owner
from specs.errors import KubeServeError, Trouble


class TargetError(KubeServeError):
    """The target refused or failed; `retryable` when the same call may succeed later."""

    code = "target"


class ObjectAction(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"  # removed and made again
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What becomes of one thing that the target makes of a resource, in the target's own words."""

    object: str  # `Deployment kubeserve-fraud/churn-0a1b2c3d4e`
    action: ObjectAction
    fields: tuple[FieldChange, ...] = ()  # all paths that differ; none of what is new or goes


@dataclass(frozen=True, slots=True)
class LiveResource:
    """What every live resource of ours has, whatever its kind."""

    id: ResourceId
    fingerprint: str  # changes whenever what the plan saw is no longer what is live
    terminating: bool = field(default=False, kw_only=True)  # removal was requested and has not finished


@dataclass(frozen=True, slots=True)
class LiveTenant(LiveResource):
    """A tenant for which something was provisioned."""


@dataclass(frozen=True, slots=True)
class LiveVariant(LiveResource):
    """A variant that runs, or that something is left of. What nobody recorded is empty or None."""

    deployment: ResourceId
    version: str = ""
    model: str = ""
    digest: str = ""  # of the version
    replicas: Replicas | None = None  # as applied last
    drain_seconds: float | None = None
    described: Mapping[str, str] = field(default_factory=dict)  # `model.described` as applied last: text for people
    running: int = 0  # processes or pods that exist
    ready: int = 0  # and of these, ready
    cause: str = ""  # why one that exists is not ready, where the target knows


@dataclass(frozen=True, slots=True)
class LiveRoute(LiveResource):
    """What sends a deployment's traffic to its variants; its id is the deployment's."""

    weights: Mapping[ResourceId, int] = field(default_factory=dict)  # variant -> percent
    reachable: bool = True  # whether what answers the deployment's URL is there at all
    cause: str = ""  # why it is not reachable, where the target knows


@dataclass(frozen=True)
class Live:
    """Everything of this installation that is live, by id."""

    tenants: Mapping[ResourceId, LiveTenant] = field(default_factory=dict)
    variants: Mapping[ResourceId, LiveVariant] = field(default_factory=dict)
    routes: Mapping[ResourceId, LiveRoute] = field(default_factory=dict)
    snapshot: object = field(default=None, compare=False, repr=False)
    """What the target itself saw, frozen, for its `prepare`; opaque to everything above the target."""

    @classmethod
    def of(cls, resources: Iterable[LiveResource], snapshot: object = None) -> Live:
        """Sorts resources by their type."""
        tenants: dict[ResourceId, LiveTenant] = {}
        variants: dict[ResourceId, LiveVariant] = {}
        routes: dict[ResourceId, LiveRoute] = {}
        for resource in resources:
            match resource:
                case LiveTenant():
                    tenants[resource.id] = resource
                case LiveVariant():
                    variants[resource.id] = resource
                case LiveRoute():
                    routes[resource.id] = resource
        return cls(tenants, variants, routes, snapshot)

    @cached_property
    def resources(self) -> Mapping[ResourceId, LiveResource]:
        """All of them, where only what they have in common matters."""
        return {**self.tenants, **self.variants, **self.routes}


@dataclass(frozen=True, slots=True)
class PreparedResource:
    """What the target says of one desired resource before anything is applied. What the spec changed is not its
    business: the plan compares the desired graph with what `Live` describes."""

    id: ResourceId
    changes: tuple[FieldChange, ...] = ()  # how what is live differs from what would be applied, in the target's words
    drift: bool = False  # `changes` come from outside: what would be applied was applied before
    trouble: Trouble | None = None  # why it can't be applied
    note: str = ""  # a warning about something that can be applied
    digest: str = ""  # pins all that would be applied, where the desired graph does not pin it yet (a chart)
    replacement: str = ""  # what of it is removed and created again, and what becomes of what serves; "": nothing is


class ReadinessState(StrEnum):
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Readiness:
    state: ReadinessState
    cause: str = ""  # one line; for FAILED why, for WAITING what it waits for
    log: tuple[str, ...] = ()  # the last lines of the log of what failed
    ready: int = 0  # replicas that are ready


class Prepared(Protocol):
    """Every tenant, variant and deployment of the desired graph as the target would apply it, and the calls that apply
    it. It holds all state of one round, so that the target holds none. Called from many threads at once, for one
    deployment by one at a time.

    `ensure` and `route` may take long (they fetch, install, wait for admission and for the data plane), and run in a
    worker. `readiness` and `remove` are quick and polled, so that a deployment that waits holds no worker.
    """

    @property
    def resources(self) -> Mapping[ResourceId, PreparedResource]:
        """What the plan needs to know of each."""

    def object_changes(self, resource: ResourceId, *, deleted: bool = False) -> tuple[ObjectChange, ...]:
        """The objects that applying (or deleting) a resource would touch, for people. Compares what was observed with
        what was prepared; does no I/O, and shows no secret."""

    def ensure(self, resource: ResourceId, replicas: int | None = None) -> None:
        """Creates or updates a tenant or a variant; a new variant starts with `replicas`, by default its minimum.
        Idempotent; returns before the variant is ready. ValueError for a resource that has `trouble`."""

    def route(self, deployment: ResourceId) -> None:
        """Sends a deployment's traffic to its variants, in the desired shares. Returns when the data plane has
        confirmed that new requests go there. ValueError for a deployment that has `trouble`."""

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        """The readiness of each variant; FAILED for one that does not exist. One call asks about many variants, and
        may be repeated several times a second."""

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        """Requests the removal of a deployment's route, a variant (drained first) or a tenant; True once nothing of it
        is left. Idempotent: repeated until True. With a fingerprint, TargetError when what is live is no longer what
        the plan saw."""


class Target(Protocol):
    @property
    def name(self) -> str:
        """`local` or `kubernetes`."""

    @property
    def runtime(self) -> str:
        """Identifies what runs variants (an image; our own version); it is part of a variant's content."""

    @property
    def place(self) -> str:
        """Where changes go, shown in the confirmation prompt: a cluster's context; "" for this machine."""

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        """Makes this round the only one that writes to the target, while it is held. LockHeldError names who holds it
        after `timeout` seconds."""

    def observe(self, scope: Scope) -> Live:
        """Everything that carries this installation's mark, in a handful of listings."""

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        """The whole batch at once; renders, and asks what else has to be known. Changes nothing. `live` is what this
        target observed. What can't be applied has `trouble`."""

    def close(self) -> None:
        """Ends what the target holds open in this process; what it runs goes on."""


class Access(Protocol):
    """What the commands that read need: the same target, seen from its users' side."""

    def url(self, deployment: ResourceId) -> str | None:
        """Where a deployment answers once it has a route, without a slash at the end; None: not decided yet."""

    def logs(self, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
        """The last lines of each replica's log, oldest first, then what is added to any of them while it is followed.
        Where there are several, a line begins with whose it is. TargetError: there is no log."""

    def failed_logs(self, deployment: ResourceId, *, lines: int) -> Iterator[str]:
        """Of a deployment's newest start that failed, kept after its removal. TargetError: none is kept."""

    def predict(
        self, deployment: ResourceId, body: bytes, variant: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """POSTs a prediction. Answers (HTTP status, body, headers); TargetError when unreachable."""


class DeploymentTarget(Target, Access, Protocol):
    """What every target is: where rounds are carried out, and what the commands that read ask."""
