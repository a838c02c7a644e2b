"""The Kubernetes target: the protocol of `targets/protocol.py` over one cluster.

Built by `workspace.py`. Called from many threads at once, for one deployment by one at a time; what `observe` saw is
kept for the round and brought up to date by what is applied, so that nothing is fetched twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from reconciler.model.resources import Desired, Kind, ResourceId, Scope, deployment_id
from reconciler.targets.kubernetes.access import Access
from reconciler.targets.kubernetes.applying.apply import Applier
from reconciler.targets.kubernetes.applying.events import Events
from reconciler.targets.kubernetes.applying.provision import Provisioner
from reconciler.targets.kubernetes.applying.removal import Remover
from reconciler.targets.kubernetes.applying.routing import await_acceptance, check_ready, stages
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.lease import held_lease
from reconciler.targets.kubernetes.objects.identity import DEPLOYMENT, Object, ObjectRef, Objects, workload
from reconciler.targets.kubernetes.objects.kinds import AUTOSCALER, MONITOR
from reconciler.targets.kubernetes.objects.rendered import Renders
from reconciler.targets.kubernetes.planning.changes import removed, touched
from reconciler.targets.kubernetes.planning.observe import Observed, observe, routed
from reconciler.targets.kubernetes.planning.prepare import Payload, prepare
from reconciler.targets.kubernetes.readiness.watcher import Watcher
from reconciler.targets.kubernetes.tenancy.quota import replicas_of
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.ownership import Owner
from reconciler.targets.protocol import Live, ObjectChange, Prepared, PreparedResource, Readiness, ReadinessState
from specs.models.platform import Platform

DEFAULT_TIMING = Timing()


class KubernetesTarget:
    """Runs an installation's deployments in a cluster."""

    name = "kubernetes"

    def __init__(
        self, platform: Platform, kube: KubeClient, renderer: Renders, timing: Timing = DEFAULT_TIMING
    ) -> None:
        self._platform = platform
        self._installation = platform.installation
        self._kube = kube
        self._timing = timing
        self._renderer = renderer
        self._applier = Applier(kube, platform.installation, platform.kubernetes.force, timing)
        self._provisioner = Provisioner(kube, platform, self._applier)
        self._remover = Remover(kube, platform)
        self._access = Access(kube, platform)
        self._watcher = Watcher(kube, platform.installation, timing)
        self._events = Events(kube)
        self._observed = Observed()
        self._parts: dict[ResourceId, list[PreparedResource]] = {}  # of each deployment: its variants and its route
        self._rehearsed: set[ResourceId] = set()  # deployments, since the last `prepare`

    @property
    def place(self) -> str:
        return f"cluster context {self._kube.context}"

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        return held_lease(self._kube, self._platform.kubernetes.namespace, self._installation, command, timeout)

    @property
    def runtime(self) -> str:
        return self._platform.runtime.image or ""

    def observe(self, scope: Scope) -> Live:
        self._observed = observe(self._kube, self._installation, scope)
        return self._observed.live

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        """`live` is what `observe` answered last."""
        del live
        rendered = self._renderer.render(desired, monitors=self._kube.serves(*MONITOR))
        around = self._provisioner.surroundings(desired, self._observed)
        prepared = prepare(desired, self._observed, rendered, self._platform, around)
        self._parts, self._rehearsed = {}, set()
        for part in prepared.resources.values():
            self._parts.setdefault(part.payload.deployment or part.id, []).append(part)
        return prepared

    def object_changes(self, resource: ResourceId, prepared: PreparedResource | None) -> tuple[ObjectChange, ...]:
        live = self._live(resource)
        return tuple(touched(prepared.payload, live) if prepared else removed(live.values()))

    def ensure(self, resource: PreparedResource, replicas: int | None = None) -> None:
        """`replicas` counts for what an autoscaler takes over: the others' number is among their objects."""
        if resource.error is not None:
            raise resource.error
        payload: Payload = resource.payload
        if resource.id.kind is Kind.TENANT:
            applied = self._provisioner.provision(resource.id.tenant, payload, self._live(resource.id))
        else:
            self._rehearse(resource, payload.deployment or resource.id)
            known = bool(self._live(resource.id))
            if not known:
                self._provisioner.restore_secrets(resource.id.tenant)
            fresh = self._provisioner.is_fresh(resource.id.tenant)
            applied = self._applier.apply(payload, self._live(resource.id), fresh=fresh)
            self._start_with(applied, payload, replicas or 0)
            if (running := workload(applied.values())) is not None:
                self._watcher.expect(resource.id, running)
            self._remover.wanted_again(resource.id)
            if not known and payload.deployment in self._observed.objects:
                self._events.started(_of_kind(applied, "Deployment"), resource.id.name)
        self._observed.objects[resource.id] = applied

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        return self._watcher.look(variants)

    def route(self, resource: PreparedResource) -> None:
        if resource.error is not None:
            raise resource.error
        payload: Payload = resource.payload
        check_ready(self._watcher.confirm([variant for variant, weight in payload.weights.items() if weight]))
        self._rehearse(resource, resource.id)
        before = routed(self._live(resource.id).values())
        for stage in stages(payload.objects, self._live(resource.id)):
            self._move(resource.id, replace(payload, objects=(stage,), obsolete=()), whole=False)
        self._move(resource.id, payload, whole=True)
        after = routed(self._live(resource.id).values())
        if before and before != after:
            traffic = ", ".join(f"{name} {weight}%" for name, weight in after.items())
            self._events.succeeded(_of_kind(self._live(resource.id), "Service"), traffic)

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        self._tell_failure(resource)
        gone = self._remover.remove(resource, fingerprint)
        self._observed.objects.pop(resource, None)
        return gone

    def close(self) -> None:
        self._watcher.close()
        self._kube.close()

    def url(self, deployment: ResourceId) -> str | None:
        """None while no route of it was observed or made."""
        return self._access.url(deployment) if deployment in self._observed.objects else None

    def logs(self, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
        return self._access.logs(variants, lines=lines, follow=follow)

    def failed_logs(self, deployment: ResourceId, *, lines: int) -> Iterator[str]:
        return self._access.failed_logs(deployment, lines=lines)

    def predict(
        self, deployment: ResourceId, body: bytes, variant: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        return self._access.predict(deployment, body, variant)

    def _live(self, resource: ResourceId) -> Objects:
        return self._observed.objects.get(resource, {})

    def _move(self, deployment: ResourceId, payload: Payload, *, whole: bool) -> None:
        applied = self._applier.apply(payload, self._live(deployment))
        self._observed.objects[deployment] = applied
        await_acceptance(self._kube, applied.values(), self._timing.acceptance, whole=whole)

    def _rehearse(self, resource: PreparedResource, deployment: ResourceId) -> None:
        """Before the first write to anything of a deployment: all that it would change of what is live."""
        if deployment in self._rehearsed:
            return
        fresh = self._provisioner.is_fresh(deployment.tenant)
        for part in self._parts.get(deployment, [resource]):
            self._applier.rehearse(part.payload, self._live(part.id), fresh=fresh)
        self._rehearsed.add(deployment)

    def _tell_failure(self, variant: ResourceId) -> None:
        """Once, of a variant that goes before it was ever ready: on itself, and on the Service that outlives it."""
        seen = self._watcher.forget(variant)
        objects = self._live(variant)
        if seen is None or seen.state is ReadinessState.READY or not objects:
            return
        name = (workload(objects.values()) or {"metadata": {"labels": {}}})["metadata"]["labels"].get(DEPLOYMENT, "")
        stable = self._live(deployment_id(variant.tenant, name))
        self._events.failed(
            [*_of_kind(objects, "Deployment"), *_of_kind(stable, "Service")], variant.name, seen.cause or "no answer"
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
