"""The target that platform.yaml chooses. `workspace.py` opens it when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from reconciler.artifacts.protocol import ArtifactStore
from reconciler.model.paths import Paths
from reconciler.targets.protocol import DeploymentTarget
from specs.models.platform import Platform, TargetKind


def open_target(
    platform: Platform,
    paths: Paths,
    store: Callable[[], ArtifactStore],
    kubeconfig: Path | None = None,
    context: str | None = None,
) -> DeploymentTarget:
    """Opens nothing yet: no run directory, no connection. `kubeconfig` and `context` None: what platform.yaml and the
    environment say."""
    match platform.target:
        case TargetKind.LOCAL:
            return _local(platform, paths, store())
        case TargetKind.KUBERNETES:
            return _kubernetes(platform, paths, kubeconfig, context)
        case _:
            assert_never(platform.target)


def _local(platform: Platform, paths: Paths, store: ArtifactStore) -> DeploymentTarget:
    from reconciler.targets.local.target import LocalTarget

    return LocalTarget(
        paths.run,
        platform.installation,
        store,
        cache_dir=paths.cache,
        secrets_dir=paths.secrets,
        host=platform.gateway.host,
        port=platform.gateway.port,
    )


def _kubernetes(platform: Platform, paths: Paths, kubeconfig: Path | None, context: str | None) -> DeploymentTarget:
    from reconciler.targets.kubernetes.client import KubeClient
    from reconciler.targets.kubernetes.client.settings import ClusterSettings
    from reconciler.targets.kubernetes.rendering import Renderer
    from reconciler.targets.kubernetes.target import KubernetesTarget

    kube = KubeClient(ClusterSettings(kubeconfig, context or platform.kubernetes.context))
    return KubernetesTarget(platform, kube, Renderer(platform, paths.cache, base=paths.base))
