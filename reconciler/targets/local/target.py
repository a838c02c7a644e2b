"""The local target: the protocol of `targets/protocol.py` over processes of this machine.

Opened by `targets/factory.py`; every method delegates to the module that does the work.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from reconciler.artifacts.protocol import ArtifactStore
from reconciler.model.resources import (
    Desired,
    ResourceId,
    Scope,
)
from reconciler.targets.local import access, processes
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.lock import target_lock
from reconciler.targets.local.observe import Observer
from reconciler.targets.local.prepare import Preparer
from reconciler.targets.local.removal import Remover
from reconciler.targets.local.rollout import Machine, Rollout
from reconciler.targets.local.routing import Routing
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.local.variants import Starter
from reconciler.targets.ownership import Owner
from reconciler.targets.protocol import Live, Prepared

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
        self._machine = Machine(
            self._run_dir,
            installation,
            self._observer,
            Starter(self._run_dir, installation, store, cache_dir.resolve(), secrets_dir.resolve(), self._routing),
            self._routing,
            Remover(self._run_dir, installation, self._routing, self._gateway),
        )

    @cached_property
    def runtime(self) -> str:
        return f"kubeserve {importlib.metadata.version('kubeserve')}"

    def observe(self, scope: Scope) -> Live:
        processes.reap()
        return self._observer.observe(scope)

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        return Rollout(desired, live, self._preparer.prepare(desired, live), self._machine)

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        return target_lock(self._run_dir.root, command, timeout)

    def close(self) -> None:
        """Does nothing: this target holds nothing open."""

    def url(self, deployment: ResourceId) -> str | None:
        return f"{self._gateway.url}/{deployment.tenant}/{deployment.name}" if self._gateway.url else None

    def logs(self, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
        return access.logs(self._run_dir, variants, lines=lines, follow=follow)

    def failed_logs(self, deployment: ResourceId, *, lines: int) -> Iterator[str]:
        return access.failed_logs(self._run_dir, deployment, lines=lines)

    def predict(
        self, deployment: ResourceId, body: bytes, variant: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        return access.predict(self._gateway.live_address, deployment, body, variant)
