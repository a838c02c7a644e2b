"""The Kubernetes target: the protocol of `targets/protocol.py` over one cluster.

Opened by `targets/factory.py`. It keeps a connection and a watch; what belongs to one round is in `rollout.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from reconciler.model.resources import Desired, ResourceId, Scope
from reconciler.targets.kubernetes.access import ClusterAccess
from reconciler.targets.kubernetes.applying.apply import Applier
from reconciler.targets.kubernetes.applying.provision import Provisioner
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.lease import held_lease
from reconciler.targets.kubernetes.objects.kinds import MONITOR
from reconciler.targets.kubernetes.objects.rendered import Renders
from reconciler.targets.kubernetes.planning.observe import observe
from reconciler.targets.kubernetes.planning.prepare import prepare
from reconciler.targets.kubernetes.readiness.watcher import Watcher
from reconciler.targets.kubernetes.rollout import Rollout
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.ownership import Owner
from reconciler.targets.protocol import Live, Prepared
from specs.models.platform import Platform

DEFAULT_TIMING = Timing()


class KubernetesTarget:
    """Runs an installation's deployments in a cluster."""

    name = "kubernetes"

    def __init__(
        self, platform: Platform, kube: KubeClient, renderer: Renders, timing: Timing = DEFAULT_TIMING
    ) -> None:
        self._platform = platform
        self._kube = kube
        self._timing = timing
        self._renderer = renderer
        self._access = ClusterAccess(kube, platform)
        self._watcher = Watcher(kube, platform.installation, timing)

    @property
    def place(self) -> str:
        return f"cluster context {self._kube.context}"

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Owner]:
        platform = self._platform
        return held_lease(self._kube, platform.kubernetes.namespace, platform.installation, command, timeout)

    @property
    def runtime(self) -> str:
        return self._platform.runtime.image or ""

    def observe(self, scope: Scope) -> Live:
        return observe(self._kube, self._platform.installation, scope, self._platform.kubernetes.gateway)

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        platform = self._platform
        applier = Applier(self._kube, platform.installation, platform.kubernetes.force, self._timing)
        provisioner = Provisioner(self._kube, platform, applier)
        rendered = self._renderer.render(desired, monitors=self._kube.serves(*MONITOR))
        prepared = prepare(desired, live, rendered, platform, provisioner.surroundings(desired, live))
        return Rollout(self._kube, platform, live, prepared, provisioner, self._watcher)

    def close(self) -> None:
        self._watcher.close()
        self._kube.close()

    def url(self, deployment: ResourceId) -> str | None:
        return self._access.url(deployment)

    def logs(self, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
        return self._access.logs(variants, lines=lines, follow=follow)

    def failed_logs(self, deployment: ResourceId, *, lines: int) -> Iterator[str]:
        return self._access.failed_logs(deployment, lines=lines)

    def predict(
        self, deployment: ResourceId, body: bytes, variant: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        return self._access.predict(deployment, body, variant)
