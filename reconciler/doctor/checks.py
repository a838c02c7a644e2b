"""The checks for a workspace; the only place of the doctor that knows which target it has.

`kubeserve doctor` hands them to `run.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reconciler.doctor import machine, storage
from reconciler.doctor.findings import Check
from reconciler.workspace import Workspace
from specs.models.cluster import Routing
from specs.models.platform import DEFAULT_ARTIFACT_LIMIT, TargetKind

CLUSTER = "cluster"


def machine_checks(folder: Path, artifact_bytes: int = DEFAULT_ARTIFACT_LIMIT) -> tuple[Check, ...]:
    """What holds whatever platform.yaml says. `folder`: where KubeServe keeps what is its own."""
    return (
        Check("Python", machine.python),
        Check("git", machine.git),
        Check("git-lfs", machine.git_lfs),
        Check("disk", lambda: machine.disk(folder, artifact_bytes)),
    )


def all_checks(workspace: Workspace) -> tuple[Check, ...]:
    platform = workspace.platform
    chosen = _kubernetes(workspace) if platform.target is TargetKind.KUBERNETES else _local(workspace)
    return (
        *machine_checks(workspace.paths.home, platform.limits.artifact_bytes),
        Check("folder", lambda: storage.home(workspace.paths)),
        Check("artifact store", lambda: storage.store(platform.artifact_store, workspace.paths.base)),
        Check("state file", lambda: storage.state(workspace.state_file)),
        *chosen,
    )


def _local(workspace: Workspace) -> Iterator[Check]:
    from reconciler.doctor import local

    yield Check("extra", local.extra, seconds=local.IMPORT_SECONDS)
    yield Check("gateway", lambda: local.gateway(workspace))
    yield Check("orphans", lambda: local.orphans(workspace))


def _kubernetes(workspace: Workspace) -> Iterator[Check]:
    from reconciler.doctor.cluster import Cluster, helm, sharing
    from reconciler.doctor.rights import permissions
    from reconciler.targets.kubernetes.client.settings import ClusterSettings

    platform, request = workspace.platform, workspace.request
    settings = ClusterSettings(request.kubeconfig, request.context or platform.kubernetes.context)
    cluster = Cluster(platform, settings)
    yield Check("helm", helm)
    yield Check("store access", lambda: sharing(platform))
    yield Check(CLUSTER, cluster.reachable)
    yield Check("permissions", lambda: permissions(cluster), needs=CLUSTER)
    yield Check("routing", cluster.routing, needs=CLUSTER)
    if platform.kubernetes.routing is Routing.GATEWAY:
        yield Check("gateway", cluster.gateway, needs="routing")
    yield Check("monitoring", cluster.monitoring, needs=CLUSTER)
    yield Check("secrets", cluster.secrets, needs=CLUSTER)
