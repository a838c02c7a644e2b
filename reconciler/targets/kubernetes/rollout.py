"""One round in a cluster: what was prepared, and the calls that apply it.

Made by `target.py`. What was observed is kept for the round and brought up to date by what is applied, so that
nothing is fetched twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from reconciler.model.resources import Kind, ResourceId, deployment_id
from reconciler.targets.kubernetes.applying.apply import Applier
from reconciler.targets.kubernetes.applying.events import Events
from reconciler.targets.kubernetes.applying.provision import Provisioner
from reconciler.targets.kubernetes.applying.removal import Remover
from reconciler.targets.kubernetes.applying.routing import await_acceptance, check_ready, stages
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import DEPLOYMENT, Object, ObjectRef, Objects, workload
from reconciler.targets.kubernetes.objects.kinds import AUTOSCALER, SERVICE, WORKLOAD
from reconciler.targets.kubernetes.planning.changes import removed, touched
from reconciler.targets.kubernetes.planning.observe import objects_of, routed
from reconciler.targets.kubernetes.planning.payload import Payload
from reconciler.targets.kubernetes.planning.prepare import PreparedObjects
from reconciler.targets.kubernetes.readiness.watcher import Watcher
from reconciler.targets.kubernetes.tenancy.quota import replicas_of
from reconciler.targets.protocol import Live, ObjectChange, PreparedResource, Readiness, ReadinessState
from specs.models.platform import Platform


class Rollout:
    """`provisioner` is the one that looked at the tenants' surroundings; `watcher` outlives the round."""

    def __init__(
        self,
        kube: KubeClient,
        platform: Platform,
        live: Live,
        prepared: PreparedObjects,
        provisioner: Provisioner,
        watcher: Watcher,
    ) -> None:
        self._kube = kube
        self._prepared = prepared
        self._provisioner = provisioner
        self._watcher = watcher
        self._applier: Applier = provisioner.applier
        self._remover = Remover(kube, platform)
        self._events = Events(kube)
        self._objects: dict[ResourceId, Objects] = dict(objects_of(live))  # as observed, then as applied
        self._parts: dict[ResourceId, list[ResourceId]] = {}  # of each deployment: its variants and its route
        for resource, payload in prepared.payloads.items():
            self._parts.setdefault(payload.deployment or resource, []).append(resource)
        self._rehearsed: set[ResourceId] = set()  # deployments
        self._seen: dict[ResourceId, Readiness] = {}  # of every variant that was waited for, the last

    @property
    def resources(self) -> Mapping[ResourceId, PreparedResource]:
        return self._prepared.resources

    def object_changes(self, resource: ResourceId, *, deleted: bool = False) -> tuple[ObjectChange, ...]:
        live = self._live(resource)
        return tuple(removed(live.values()) if deleted else touched(self._payload(resource), live))

    def ensure(self, resource: ResourceId, replicas: int | None = None) -> None:
        """`replicas` counts for what an autoscaler takes over: the others' number is among their objects."""
        payload = self._payload(resource)
        if resource.kind is Kind.TENANT:
            applied = self._provisioner.provision(resource.tenant, payload, self._live(resource))
        else:
            applied = self._apply(resource, payload, replicas or 0)
        self._objects[resource] = applied

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        seen = self._watcher.look(variants)
        self._seen.update(seen)
        return seen

    def route(self, deployment: ResourceId) -> None:
        payload = self._payload(deployment)
        check_ready(self._watcher.confirm([variant for variant, weight in payload.weights.items() if weight]))
        self._rehearse(deployment)
        before = routed(self._live(deployment).values())
        for stage in stages(payload.objects, self._live(deployment)):
            self._move(deployment, replace(payload, objects=(stage,), obsolete=()), whole=False)
        self._move(deployment, payload, whole=True)
        after = routed(self._live(deployment).values())
        if before and before != after:
            traffic = ", ".join(f"{name} {weight}%" for name, weight in after.items())
            self._events.succeeded(_of_kind(self._live(deployment), SERVICE.kind), traffic)

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        self._report_failure(resource)
        gone = self._remover.remove(resource, fingerprint)
        self._objects.pop(resource, None)
        return gone

    def _payload(self, resource: ResourceId) -> Payload:
        if trouble := self._prepared.resources[resource].trouble:
            raise ValueError(f"{resource} can't be applied: {trouble.sentence}")
        return self._prepared.payloads[resource]

    def _live(self, resource: ResourceId) -> Objects:
        return self._objects.get(resource, {})

    def _apply(self, resource: ResourceId, payload: Payload, replicas: int) -> dict[ObjectRef, Object]:
        self._rehearse(payload.deployment or resource)
        known = bool(self._live(resource))
        if not known:
            self._provisioner.restore_secrets(resource.tenant)
        fresh = self._provisioner.is_fresh(resource.tenant)
        applied = self._applier.apply(payload, self._live(resource), fresh=fresh)
        self._start_with(applied, payload, replicas)
        if (running := workload(applied.values())) is not None:
            self._watcher.expect(resource, running)
        self._remover.wanted_again(resource)
        if not known and payload.deployment in self._objects:
            self._events.started(_of_kind(applied, WORKLOAD.kind), resource.name)
        return applied

    def _move(self, deployment: ResourceId, payload: Payload, *, whole: bool) -> None:
        applied = self._applier.apply(payload, self._live(deployment))
        self._objects[deployment] = applied
        await_acceptance(self._kube, applied.values(), self._applier.timing.acceptance, whole=whole)

    def _rehearse(self, deployment: ResourceId) -> None:
        """Before the first write to anything of a deployment: all that it would change of what is live."""
        if deployment in self._rehearsed:
            return
        fresh = self._provisioner.is_fresh(deployment.tenant)
        for part in self._parts[deployment]:
            self._applier.rehearse(self._prepared.payloads[part], self._live(part), fresh=fresh)
        self._rehearsed.add(deployment)

    def _report_failure(self, variant: ResourceId) -> None:
        """Once, of a variant that is removed before it was ever ready: on itself, and on the Service that outlives
        it."""
        seen = self._seen.pop(variant, None)
        objects = self._live(variant)
        if seen is None or seen.state is ReadinessState.READY or not objects:
            return
        name = (workload(objects.values()) or {"metadata": {"labels": {}}})["metadata"]["labels"].get(DEPLOYMENT, "")
        stable = self._live(deployment_id(variant.tenant, name))
        self._events.failed(
            [*_of_kind(objects, WORKLOAD.kind), *_of_kind(stable, SERVICE.kind)],
            variant.name,
            seen.cause or "no answer",
        )

    def _start_with(self, applied: dict[ObjectRef, Object], payload: Payload, replicas: int) -> None:
        """What an autoscaler will scale begins with what is asked for or its minimum, not with the API's default."""
        rendered = workload(payload.objects)
        if rendered is None or "replicas" in rendered["spec"]:
            return
        scalers = (one for one in payload.objects if one["kind"] == AUTOSCALER.kind)
        least = max([replicas, *(int(one["spec"].get("minReplicas", 1)) for one in scalers)])
        ref = ObjectRef.of(rendered)
        if replicas_of(applied[ref]) < least:
            applied[ref] = self._applier.start_with(rendered, least)


def _of_kind(objects: Objects, kind: str) -> list[Object]:
    return [one for ref, one in objects.items() if ref.kind == kind]
