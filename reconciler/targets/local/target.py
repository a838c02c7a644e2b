"""The local target: the protocol of `targets/protocol.py` over processes of this machine.

Built by whoever runs a round or a command that reads; every method hands on to the module that does it. Called
from many threads at once, for one deployment by one at a time.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from reconciler.artifacts.protocol import ArtifactStore
from reconciler.model.resources import (
    Desired,
    DesiredDeployment,
    DesiredTenant,
    DesiredVariant,
    Kind,
    ResourceId,
    Scope,
)
from reconciler.targets.local import access, processes
from reconciler.targets.local.explain import touched
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.lock import target_lock
from reconciler.targets.local.marks import RunDir, TenantMark, write
from reconciler.targets.local.observe import Observer
from reconciler.targets.local.prepare import Preparer
from reconciler.targets.local.probe import PATIENT_SECONDS, probe
from reconciler.targets.local.readiness import read_variant, readiness
from reconciler.targets.local.removal import Remover
from reconciler.targets.local.routing import Destination, Routing
from reconciler.targets.local.variants import Starter
from reconciler.targets.ownership import Owner
from reconciler.targets.protocol import Live, ObjectChange, Prepared, PreparedResource, Readiness, TargetError

DEFAULT_HOST = "127.0.0.1"


class LocalTarget:
    """Runs an installation's deployments out of `run_dir`. Both protocols of a target: Target and Access.

    `cache_dir` holds fetched versions and overlays, `secrets_dir` has NAME/KEY files of mode 0600. `port` None:
    the gateway's port is chosen once and kept with the run directory. A variant's cpu sets its thread counts; its
    memory is not enforced: limits of address space or data break NumPy and ONNX, which reserve what they never use.
    """

    name = "local"
    place = ""

    def __init__(
        self,
        run_dir: Path,
        installation: str,
        store: ArtifactStore,
        *,
        cache_dir: Path,
        secrets_dir: Path,
        host: str = DEFAULT_HOST,
        port: int | None = None,
    ) -> None:
        self._run_dir = RunDir(run_dir.resolve())
        self._installation = installation
        self._gateway = GatewayProcess(self._run_dir, host, port)
        self._routing = Routing(self._run_dir, self._gateway)
        self._observer = Observer(self._run_dir, installation, self._routing, self._gateway)
        self._preparer = Preparer(self._run_dir, installation, secrets_dir, self._gateway)
        self._starter = Starter(
            self._run_dir, installation, store, cache_dir.resolve(), secrets_dir.resolve(), self._routing
        )
        self._remover = Remover(self._run_dir, installation, self._routing, self._gateway)

    @cached_property
    def runtime(self) -> str:
        return f"kubeserve {importlib.metadata.version('kubeserve')}"

    def observe(self, scope: Scope) -> Live:
        processes.reap()
        return self._observer.observe(scope)

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        return self._preparer.prepare(desired, live)

    def object_changes(self, resource: ResourceId, prepared: PreparedResource | None) -> tuple[ObjectChange, ...]:
        if prepared is None and resource.kind is Kind.DEPLOYMENT and resource not in self._routing.routes():
            return ()  # only its variants are left
        return tuple(touched(resource, prepared))

    def ensure(self, resource: PreparedResource, replicas: int | None = None) -> None:
        """A variant has `replicas` processes when this returns, else its minimum: nothing scales them here."""
        if isinstance(resource.payload, DesiredTenant):
            self._ensure_tenant(resource.payload)
        elif isinstance(resource.payload, DesiredVariant):
            variant = resource.payload
            self._starter.ensure(variant, variant.replicas.min if replicas is None else replicas)

    def readiness(self, variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        processes.reap()
        return readiness(self._run_dir, variants)

    def route(self, resource: PreparedResource) -> None:
        deployment: DesiredDeployment = resource.payload
        self._routing.set_route(resource.id, self._destinations(deployment.weights))
        for variant in deployment.weights:
            self._run_dir.variant(variant).served_file.touch(mode=0o600)

    def remove(self, resource: ResourceId, fingerprint: str | None = None) -> bool:
        processes.reap()
        self._observer.check(resource, fingerprint)
        match resource.kind:
            case Kind.DEPLOYMENT:
                return self._remover.remove_deployment(resource)
            case Kind.VARIANT:
                return self._remover.remove_variant(resource)
            case Kind.TENANT:
                return self._remover.remove_tenant(resource)
        raise ValueError(f"nothing of a {resource.kind} is live")

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        return target_lock(self._run_dir.root, command, timeout)

    def close(self) -> None:
        """Nothing is held open."""

    def url(self, deployment: ResourceId) -> str | None:
        routed = deployment in self._routing.routes()
        return f"{self._gateway.url}/{deployment.tenant}/{deployment.name}" if routed else None

    def logs(self, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
        return access.logs(self._run_dir, variants, lines=lines, follow=follow)

    def failed_logs(self, deployment: ResourceId, *, lines: int) -> Iterator[str]:
        return access.failed_logs(self._run_dir, deployment, lines=lines)

    def predict(
        self, deployment: ResourceId, body: bytes, variant: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        return access.predict(self._gateway.live_address, deployment, body, variant)

    def _ensure_tenant(self, tenant: DesiredTenant) -> None:
        mark = self._run_dir.tenant(tenant.id.tenant)
        if mark is None:
            created = datetime.now(UTC).isoformat(timespec="seconds")
            mark = TenantMark(self._installation, tenant.id.tenant, created)
            write(self._run_dir.tenant_file(tenant.id.tenant), mark)
        if mark.installation != self._installation:
            raise TargetError("Tenant belongs to another installation", f"{mark.tenant} is run by {mark.installation}.")

    def _destinations(self, weights: Mapping[ResourceId, int]) -> list[Destination]:
        found = {variant: read_variant(self._run_dir, variant) for variant in weights}
        answers = probe([a for v in found.values() if v for a in v.addresses], PATIENT_SECONDS)
        destinations = []
        for variant, observed in found.items():
            if observed is None:
                raise TargetError("Traffic can't move", f"{variant.name} is not there.")
            destinations.append(Destination(observed.mark, weights[variant], observed.ready(answers)))
        return destinations
