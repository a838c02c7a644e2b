"""The target's shape: what the engine may ask of where deployments run.

`reconcile.py` calls observe and prepare before the plan, the engine calls the rest. Fingerprints are opaque
strings to everything above. No call but `route` waits for anything slow: the engine polls
`readiness` and `remove` for all that wait at once, so that a deployment that waits holds no worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from reconciler.model.resources import JSON, Desired, ResourceId, Scope
from reconciler.targets.ownership import Owner
from specs.errors import KubeServeError


class TargetError(KubeServeError):
    """The target refused or failed; `retryable` when the same call may succeed later."""

    code = "target"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One difference in words that the author of the spec knows. None: not there on that side."""

    field: str
    old: str | None
    new: str | None


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
    """Something of ours that is really there: a tenant, a variant, or a deployment (its route)."""

    id: ResourceId
    fingerprint: str  # changes whenever what the plan saw is no longer what is there
    fields: Mapping[str, str] = field(default_factory=dict)  # what a plan shows and compares, as applied
    deployment: ResourceId | None = None  # a variant's
    digest: str = ""  # a variant's version digest
    weights: Mapping[ResourceId, int] = field(default_factory=dict)  # a deployment's live traffic
    replicas: int = 0  # a variant's processes or pods that exist
    ready: int = 0  # and of these, ready
    terminating: bool = False  # asked to go, not gone yet
    reachable: bool = True  # a deployment's URL: whether what answers it is there at all


@dataclass(frozen=True, slots=True)
class Live:
    resources: Mapping[ResourceId, LiveResource]


@dataclass(frozen=True, slots=True)
class PreparedResource:
    """One desired resource made ready to apply. `changes` is empty when live equals it; `error` is why it
    can't be applied; `drift` when the specs did not change but the live side did."""

    id: ResourceId
    changes: tuple[FieldChange, ...] = ()
    error: KubeServeError | None = None
    drift: bool = False
    payload: JSON = None  # the target's own
    note: str = ""  # what to know of it though it can be applied
    digest: str = ""  # pins all that would be applied, where the desired graph does not pin it yet (a chart)
    replacement: str = ""  # what of it is removed and made again, and what becomes of what serves; "": nothing is


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every tenant, variant and deployment of the desired graph, as the target would apply it."""

    resources: Mapping[ResourceId, PreparedResource]


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


class Target(Protocol):
    @property
    def name(self) -> str:
        """`local` or `kubernetes`."""

    @property
    def runtime(self) -> str:
        """Identifies what runs variants (an image; our own version); it is part of a variant's content."""

    @property
    def place(self) -> str:
        """What is written to, for who is asked whether to: a cluster's context; "" for this machine."""

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        """Makes this round the only one that writes to the target, while it is held. LockHeldError names who holds it
        after `timeout` seconds."""

    def observe(self, scope: Scope) -> Live:
        """Everything that carries this installation's mark, in a handful of listings."""

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        """The whole batch at once. Changes nothing. What can't be applied is an `error` of its resource."""

    def object_changes(self, resource: ResourceId, prepared: PreparedResource | None) -> tuple[ObjectChange, ...]:
        """The objects of a resource that applying it would touch, for people; without `prepared`: that go with it.
        Told of what `observe` and `prepare` saw last; asks nothing, and shows no secret."""

    def ensure(self, resource: PreparedResource, replicas: int | None = None) -> None:
        """Creates or updates a tenant or a variant; a new variant starts with `replicas`, by default its minimum.
        Idempotent; returns before the variant is ready."""

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        """The readiness of each variant; FAILED for one that does not exist. One call asks about many variants, and
        may be repeated several times a second."""

    def route(self, resource: PreparedResource) -> None:
        """Sends a deployment's traffic to its variants, in the desired shares. Returns when the data plane has
        confirmed that new requests go there."""

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        """Asks a deployment's route, a variant (drained first) or a tenant to go; True once nothing of it
        is left. Idempotent and quick: asked again until True. With a fingerprint, TargetError when what is
        there is no longer what the plan saw."""

    def close(self) -> None:
        """Ends what the target holds open in this process; what it runs goes on."""


class Access(Protocol):
    """What the commands that read need: the same target, seen from its users' side."""

    def url(self, deployment: ResourceId) -> str | None:
        """The stable address of a deployment, ending in a slash-less path; None while it has none."""

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
