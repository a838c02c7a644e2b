"""One round on this machine: what was prepared, and the calls that apply it.

Made by `target.py`; every method delegates to the module that does the work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.model.described import FieldChange, differences, variant_fields
from reconciler.model.resources import Desired, DesiredTenant, Kind, ResourceId
from reconciler.targets.local import processes
from reconciler.targets.local.marks import TenantMark, write
from reconciler.targets.local.observe import Observer
from reconciler.targets.local.probe import PATIENT_SECONDS, probe
from reconciler.targets.local.readiness import read_variant, readiness
from reconciler.targets.local.removal import Remover
from reconciler.targets.local.routing import Destination, Routing
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.local.variants import Starter
from reconciler.targets.protocol import Live, ObjectAction, ObjectChange, PreparedResource, Readiness, TargetError

_OBJECTS = {Kind.VARIANT: "processes of", Kind.DEPLOYMENT: "route to"}
"""A tenant has nothing but its name."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts that change this machine, or read it again before a change."""

    run_dir: RunDir
    installation: str
    observer: Observer
    starter: Starter
    routing: Routing
    remover: Remover


@dataclass(frozen=True, slots=True)
class Rollout:
    desired: Desired
    live: Live
    resources: Mapping[ResourceId, PreparedResource]
    machine: Machine

    def object_changes(self, resource: ResourceId, *, deleted: bool = False) -> tuple[ObjectChange, ...]:
        if resource.kind not in _OBJECTS or (deleted and resource not in self.live.resources):
            return ()
        name = f"{_OBJECTS[resource.kind]} {resource.tenant}/{resource.name}"
        if deleted:
            return (ObjectChange(name, ObjectAction.DELETE),)
        if resource not in self.live.resources:
            return (ObjectChange(name, ObjectAction.CREATE),)
        changes = (*self._described(resource), *self.resources[resource].changes)
        return (ObjectChange(name, ObjectAction.CHANGE, changes),) if changes else ()

    def ensure(self, resource: ResourceId, replicas: int | None = None) -> None:
        """A variant has `replicas` processes when this returns, or its minimum: nothing scales locally."""
        self._check(resource)
        if resource.kind is Kind.TENANT:
            self._ensure_tenant(self.desired.tenants[resource])
        else:
            variant = self.desired.variants[resource]
            self.machine.starter.ensure(variant, variant.replicas.min if replicas is None else replicas)

    def route(self, deployment: ResourceId) -> None:
        self._check(deployment)
        weights = self.desired.deployments[deployment].weights
        self.machine.routing.set_route(deployment, self._destinations(weights))
        self.machine.starter.note_served(weights)

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        processes.reap()
        return readiness(self.machine.run_dir, variants)

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        processes.reap()
        self.machine.observer.check(resource, fingerprint)
        match resource.kind:
            case Kind.DEPLOYMENT:
                return self.machine.remover.remove_deployment(resource)
            case Kind.VARIANT:
                return self.machine.remover.remove_variant(resource)
            case Kind.TENANT:
                return self.machine.remover.remove_tenant(resource)
        raise ValueError(f"nothing of a {resource.kind} is live")

    def _check(self, resource: ResourceId) -> None:
        if trouble := self.resources[resource].trouble:
            raise ValueError(f"{resource} can't be applied: {trouble.sentence}")

    def _described(self, resource: ResourceId) -> tuple[FieldChange, ...]:
        if resource.kind is not Kind.VARIANT:
            return ()
        return tuple(
            differences(self.live.variants[resource].described, variant_fields(self.desired.variants[resource]))
        )

    def _ensure_tenant(self, tenant: DesiredTenant) -> None:
        run_dir, installation = self.machine.run_dir, self.machine.installation
        mark = run_dir.tenant(tenant.id.tenant)
        if mark is None:
            created = datetime.now(UTC).isoformat(timespec="seconds")
            mark = TenantMark(installation, tenant.id.tenant, created)
            write(run_dir.tenant_file(tenant.id.tenant), mark)
        if mark.installation != installation:
            raise TargetError("Tenant belongs to another installation", f"{mark.tenant} is run by {mark.installation}.")

    def _destinations(self, weights: Mapping[ResourceId, int]) -> list[Destination]:
        found = {variant: read_variant(self.machine.run_dir, variant) for variant in weights}
        answers = probe([a for v in found.values() if v for a in v.addresses], PATIENT_SECONDS)
        destinations = []
        for variant, observed in found.items():
            if observed is None:
                raise TargetError("Traffic can't move", f"{variant.name} is not there.")
            destinations.append(Destination(observed.mark, weights[variant], observed.ready(answers)))
        return destinations
