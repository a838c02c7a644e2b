"""A target that runs nothing: the protocol's state and no processes. For the engine's laws at a scale and with
faults that real processes could not give in a unit test. It passes the contract suite, as the real targets do."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import orjson

from reconciler.model.described import FieldChange, differences, variant_fields
from reconciler.model.resources import (
    Desired,
    DesiredDeployment,
    DesiredTenant,
    DesiredVariant,
    Kind,
    ResourceId,
    Scope,
)
from reconciler.targets.ownership import Owner, this_process
from reconciler.targets.protocol import (
    Live,
    LiveResource,
    LiveRoute,
    LiveTenant,
    LiveVariant,
    ObjectAction,
    ObjectChange,
    PreparedResource,
    Readiness,
    ReadinessState,
    TargetError,
)
from specs.errors import Trouble

READY = Readiness(ReadinessState.READY, ready=1)
NOT_THERE = Readiness(ReadinessState.FAILED, "nothing of it is there")


@dataclass
class MemoryTarget:
    """`behaviour` says what becomes of a variant once it is started; `before` sees every call by its name; a removal is
    asked for `lingers` times more than once until it is done. `strict`: a variant that takes traffic is never removed.
    """

    behaviour: Callable[[DesiredVariant], Readiness] = lambda variant: READY
    before: Callable[[str, str], None] = lambda verb, resource: None
    resources: dict[ResourceId, LiveResource] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    lingers: int = 0
    strict: bool = True
    installation: str = "default"
    name: str = "memory"
    runtime: str = "memory/1"
    place: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._readiness: dict[ResourceId, Readiness] = {}
        self._asked: dict[ResourceId, int] = {}
        self._serials = itertools.count(1)
        self._owners: dict[ResourceId, str] = {}  # resource -> installation

    def beside(self, installation: str) -> MemoryTarget:
        """Another target over the same resources, as the next command opens it."""
        other = copy.copy(self)
        other.installation = installation
        return other

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        return nullcontext(this_process(command, 1))

    def observe(self, scope: Scope) -> Live:
        with self._lock:
            return Live.of(r for r in self.resources.values() if self._is_ours(r.id) and _place(r) in scope)

    def prepare(self, desired: Desired, live: Live) -> MemoryRollout:
        prepared = {tenant: self._prepared_tenant(tenant) for tenant in desired.tenants}
        for variant in desired.variants.values():
            prepared[variant.id] = self.prepared_variant(variant, live.variants.get(variant.id))
        for deployment in desired.deployments.values():
            prepared[deployment.id] = _prepare_route(deployment, live.routes.get(deployment.id))
        return MemoryRollout(self, desired, prepared)

    def prepared_variant(self, variant: DesiredVariant, live: LiveVariant | None) -> PreparedResource:
        changes: tuple[FieldChange, ...] = ()
        wanted = max(live.running, variant.replicas.min) if live else 0
        if live is not None and live.ready < wanted:
            changes += (FieldChange("running replicas", str(live.ready), str(wanted)),)
        if live is not None and live.terminating:
            changes += (FieldChange("state", "being removed", "running"),)
        return PreparedResource(variant.id, changes, bool(changes))

    def ensure(self, desired: DesiredTenant | DesiredVariant, replicas: int | None = None) -> None:
        self._called("ensure", desired.id)
        with self._lock:
            if isinstance(desired, DesiredTenant):
                self._put(LiveTenant(desired.id, ""))
                return
            readiness = self._readiness[desired.id] = self.behaviour(desired)
            running = replicas or desired.replicas.min
            self._put(
                LiveVariant(
                    desired.id,
                    "",
                    desired.deployment,
                    desired.version_name,
                    desired.model,
                    desired.digest,
                    desired.replicas,
                    desired.drain_seconds,
                    variant_fields(desired),
                    running=running,
                    ready=running if readiness.state is ReadinessState.READY else 0,
                )
            )

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        return {variant: self._readiness_of(variant) for variant in variants}

    def route(self, deployment: DesiredDeployment) -> None:
        self._called("route", deployment.id)
        with self._lock:
            live = {v: self.resources.get(v) for v, weight in deployment.weights.items() if weight}
            dead = [str(v) for v, found in live.items() if not isinstance(found, LiveVariant) or not found.ready]
            if dead:
                raise TargetError("Traffic can't move", f"{dead} are not ready.")
            self._put(LiveRoute(deployment.id, "", dict(deployment.weights)))

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        self._called("remove", resource)
        with self._lock:
            there = self.resources.get(resource)
            if there is None:
                return True
            if not self._is_ours(resource):
                raise TargetError("Not ours", f"{resource} belongs to {self._owners[resource]}.")
            if fingerprint and not there.terminating and there.fingerprint != fingerprint:
                raise TargetError("Changed since it was planned")
            for route in self.resources.values() if self.strict else ():
                assert not isinstance(route, LiveRoute) or not route.weights.get(resource), f"{resource} takes traffic"
            left = [str(r) for r in self.resources if r.tenant == resource.tenant and r != resource]
            if resource.kind is Kind.TENANT and left:
                raise TargetError("Tenant is not empty", f"{resource} still has {left}")
            if self._asked.setdefault(resource, self.lingers):
                self._asked[resource] -= 1
                self._put(replace(there, terminating=True))
                return False
            del self._asked[resource], self.resources[resource]
            self._owners.pop(resource, None)
            self._readiness.pop(resource, None)
            return True

    def close(self) -> None:
        pass

    def url(self, deployment: ResourceId) -> str | None:
        return f"memory:/{deployment.tenant}/{deployment.name}"

    def predict(
        self, deployment: ResourceId, body: bytes, variant: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Each variant answers with its version."""
        weights = self.routed(deployment).weights
        chosen = max(weights, key=lambda v: (v.name == variant, weights[v]))
        return 200, orjson.dumps({"predictions": [self.variant(chosen).version]}), {}

    def logs(self, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
        raise TargetError("There is no log")

    def failed_logs(self, deployment: ResourceId, *, lines: int) -> Iterator[str]:
        raise TargetError("There is no log")

    def lose(self, variant: ResourceId) -> None:
        """One replica is gone, and nobody waits for it."""
        old = self.variant(variant)
        self._put(replace(old, running=old.running - 1, ready=old.ready - 1))

    def crash(self, variant: ResourceId) -> None:
        """One replica is gone, as after a kill -9."""
        old = self.variant(variant)
        self._put(replace(old, ready=old.ready - 1))

    def die(self, variant: ResourceId) -> None:
        """All of its replicas are gone."""
        self._put(replace(self.variant(variant), ready=0))
        self._readiness[variant] = Readiness(ReadinessState.FAILED, "killed from outside")

    def revive(self, variant: ResourceId) -> None:
        """It gets ready, if late."""
        self._put(replace(self.variant(variant), ready=self.variant(variant).running))
        self._readiness[variant] = READY

    def routed(self, deployment: ResourceId) -> LiveRoute:
        found = self.resources[deployment]
        assert isinstance(found, LiveRoute)
        return found

    def variant(self, variant: ResourceId) -> LiveVariant:
        found = self.resources[variant]
        assert isinstance(found, LiveVariant)
        return found

    def _called(self, verb: str, resource: ResourceId) -> None:
        self.before(verb, str(resource))
        self.calls.append((verb, str(resource)))

    def _is_ours(self, resource: ResourceId) -> bool:
        return self._owners.get(resource, self.installation) == self.installation

    def _prepared_tenant(self, tenant: ResourceId) -> PreparedResource:
        if self._is_ours(tenant):
            return PreparedResource(tenant)
        return PreparedResource(tenant, trouble=Trouble("Tenant belongs to another installation"))

    def _readiness_of(self, variant: ResourceId) -> Readiness:
        live, readiness = self.resources.get(variant), self._readiness.get(variant, NOT_THERE)
        return replace(readiness, ready=live.ready) if isinstance(live, LiveVariant) else readiness

    def _put(self, resource: LiveResource) -> None:
        """A fingerprint is a new one unless nothing changed."""
        old = self.resources.get(resource.id)
        if old is None or replace(resource, fingerprint=old.fingerprint) != old:
            self.resources[resource.id] = replace(resource, fingerprint=str(next(self._serials)))
        self._owners.setdefault(resource.id, self.installation)


@dataclass(frozen=True)
class MemoryRollout:
    """Hands on to the target, where a test may replace a method."""

    target: MemoryTarget
    desired: Desired
    resources: Mapping[ResourceId, PreparedResource]

    def object_changes(self, resource: ResourceId, *, deleted: bool = False) -> tuple[ObjectChange, ...]:
        live = self.target.resources.get(resource)
        if deleted or live is None:
            return (ObjectChange(f"thing {resource.name}", ObjectAction.DELETE if deleted else ObjectAction.CREATE),)
        changes = self.resources[resource].changes
        if isinstance(live, LiveVariant):
            changes = (*differences(live.described, variant_fields(self.desired.variants[resource])), *changes)
        return (ObjectChange(f"thing {resource.name}", ObjectAction.CHANGE, changes),) if changes else ()

    def ensure(self, resource: ResourceId, replicas: int | None = None) -> None:
        self._check(resource)
        tenant = self.desired.tenants.get(resource)
        self.target.ensure(tenant or self.desired.variants[resource], replicas)

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        return self.target.readiness(variants)

    def route(self, deployment: ResourceId) -> None:
        self._check(deployment)
        self.target.route(self.desired.deployments[deployment])

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        return self.target.remove(resource, fingerprint)

    def _check(self, resource: ResourceId) -> None:
        if trouble := self.resources[resource].trouble:
            raise ValueError(f"{resource} can't be applied: {trouble}")


def _place(resource: LiveResource) -> ResourceId:
    """What a scope is compared with: a variant follows its deployment."""
    return resource.deployment if isinstance(resource, LiveVariant) else resource.id


def _prepare_route(deployment: DesiredDeployment, live: LiveRoute | None) -> PreparedResource:
    changes: tuple[FieldChange, ...] = ()
    if live is not None and dict(live.weights) != dict(deployment.weights):
        changes = (FieldChange("weights", str(live.weights), str(deployment.weights)),)
    return PreparedResource(deployment.id, changes)
