"""A target that runs nothing: the protocol's state and no processes. For the engine's laws at a scale and with
faults that real processes could not give in a unit test; both real targets are held to the contract suite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from reconciler.model.described import variant_fields
from reconciler.model.resources import Desired, DesiredVariant, Kind, ResourceId, Scope
from reconciler.targets.ownership import Owner, this_process
from reconciler.targets.protocol import (
    FieldChange,
    Live,
    LiveResource,
    ObjectAction,
    ObjectChange,
    Prepared,
    PreparedResource,
    Readiness,
    ReadinessState,
    TargetError,
)

READY = Readiness(ReadinessState.READY, ready=1)
NOT_THERE = Readiness(ReadinessState.FAILED, "nothing of it is there")


@dataclass
class MemoryTarget:
    """`behaviour` says what becomes of a variant once it is started; `before` sees every call by its name; what goes is
    asked `lingers` times more than once until it is resource."""

    behaviour: Callable[[DesiredVariant], Readiness] = lambda variant: READY
    before: Callable[[str, str], None] = lambda verb, resource: None
    resources: dict[ResourceId, LiveResource] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    lingers: int = 0
    name: str = "memory"
    runtime: str = "memory/1"
    place: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._readiness: dict[ResourceId, Readiness] = {}
        self._asked: dict[ResourceId, int] = {}
        self._serial = 0

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        return nullcontext(this_process(command, 1))

    def observe(self, scope: Scope) -> Live:
        with self._lock:
            return Live({k: v for k, v in self.resources.items() if scope.tenant in (None, k.tenant)})

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        found: dict[ResourceId, PreparedResource] = {}
        for tenant in desired.tenants:
            found[tenant] = PreparedResource(tenant)
        for variant in desired.variants.values():
            found[variant.id] = self._prepare_variant(variant, live.resources.get(variant.id))
        for deployment in desired.deployments.values():
            route = live.resources.get(deployment.id)
            changes: tuple[FieldChange, ...] = ()
            if route is not None and dict(route.weights) != dict(deployment.weights):
                changes = (FieldChange("weights", str(route.weights), str(deployment.weights)),)
            found[deployment.id] = PreparedResource(deployment.id, changes, payload=deployment)
        return Prepared(found)

    def _prepare_variant(self, variant: DesiredVariant, old: LiveResource | None) -> PreparedResource:
        changes: tuple[FieldChange, ...] = ()
        if old is not None and old.fields["replicas"] != variant_fields(variant)["replicas"]:
            changes = (FieldChange("replicas", old.fields["replicas"], variant_fields(variant)["replicas"]),)
        drift = False
        if old is not None and old.ready < old.replicas:
            changes += (FieldChange("running replicas", str(old.ready), str(old.replicas)),)
            drift = True
        if old is not None and old.terminating:
            changes += (FieldChange("state", "being removed", "running"),)
            drift = True
        return PreparedResource(variant.id, changes, None, drift, variant)

    def object_changes(self, resource: ResourceId, prepared: PreparedResource | None) -> tuple[ObjectChange, ...]:
        if prepared is None:
            return (ObjectChange(f"thing {resource.name}", ObjectAction.DELETE),)
        action = ObjectAction.CHANGE if resource in self.resources else ObjectAction.CREATE
        return (ObjectChange(f"thing {resource.name}", action, prepared.changes),)

    def ensure(self, resource: PreparedResource, replicas: int | None = None) -> None:
        self._called("ensure", str(resource.id))
        with self._lock:
            if resource.id.kind is Kind.TENANT:
                self._put(LiveResource(resource.id, ""))
                return
            variant: DesiredVariant = resource.payload
            readiness = self._readiness[variant.id] = self.behaviour(variant)
            count = replicas or variant.replicas.min
            ready = count if readiness.state is ReadinessState.READY else 0
            self._put(
                LiveResource(
                    variant.id,
                    "",
                    variant_fields(variant),
                    variant.deployment,
                    variant.digest,
                    replicas=count,
                    ready=ready,
                )
            )

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        return {variant: self._readiness.get(variant, NOT_THERE) for variant in variants}

    def route(self, resource: PreparedResource) -> None:
        self._called("route", str(resource.id))
        with self._lock:
            weights = resource.payload.weights
            dead = [str(v) for v, weight in weights.items() if weight and not self.resources[v].ready]
            assert not dead, f"traffic would go to what is not ready: {dead}"
            self._put(LiveResource(resource.id, "", weights=dict(weights)))

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        self._called("remove", str(resource))
        with self._lock:
            for route in self.resources.values():
                assert not route.weights.get(resource), f"{resource} still takes traffic"
            if resource.kind is Kind.TENANT:
                left = [str(r) for r in self.resources if r.tenant == resource.tenant and r != resource]
                assert not left, f"{resource} still has {left}"
            there = self.resources.get(resource)
            if there is None:
                return True
            if fingerprint and not there.terminating and there.fingerprint != fingerprint:
                raise TargetError("Changed since it was planned")
            if self._asked.setdefault(resource, self.lingers):
                self._asked[resource] -= 1
                self._put(replace(there, terminating=True))
                return False
            del self._asked[resource], self.resources[resource]
            return True

    def close(self) -> None:
        pass

    def crash(self, variant: ResourceId) -> None:
        """One replica is gone, as after a kill -9."""
        old = self.resources[variant]
        self._put(replace(old, ready=old.ready - 1))

    def die(self, variant: ResourceId) -> None:
        """All of its replicas are gone."""
        self._put(replace(self.resources[variant], ready=0))
        self._readiness[variant] = Readiness(ReadinessState.FAILED, "killed from outside")

    def revive(self, variant: ResourceId) -> None:
        """It gets ready, if late."""
        self._put(replace(self.resources[variant], ready=self.resources[variant].replicas))
        self._readiness[variant] = READY

    def _called(self, verb: str, resource: str) -> None:
        self.before(verb, resource)
        self.calls.append((verb, resource))

    def _put(self, resource: LiveResource) -> None:
        self._serial += 1
        self.resources[resource.id] = replace(resource, fingerprint=str(self._serial))
