"""The checks for a workspace; the only place of the doctor that knows which target it has.

`kubeserve doctor` hands them to `run.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reconciler.doctor import machine, storage
from reconciler.doctor.findings import DoctorCheck
from reconciler.workspace import Workspace
from specs.models.cluster import Routing
from specs.models.platform import DEFAULT_ARTIFACT_LIMIT, TargetKind

CLUSTER = "cluster"


def machine_checks(folder: Path, artifact_bytes: int = DEFAULT_ARTIFACT_LIMIT) -> tuple[DoctorCheck, ...]:
    """What holds whatever platform.yaml says. `folder`: where KubeServe keeps what is its own."""
    return (
        DoctorCheck("Python", machine.python),
        DoctorCheck("git", machine.git),
        DoctorCheck("git-lfs", machine.git_lfs),
        DoctorCheck("disk", lambda: machine.disk(folder, artifact_bytes)),
    )


def all_checks(workspace: Workspace) -> tuple[DoctorCheck, ...]:
    platform = workspace.platform
    chosen = _kubernetes(workspace) if platform.target is TargetKind.KUBERNETES else _local(workspace)
    return (
        *machine_checks(workspace.paths.home, platform.limits.artifact_bytes),
        DoctorCheck("folder", lambda: storage.home(workspace.paths)),
        DoctorCheck("artifact store", lambda: storage.store(platform.artifact_store, workspace.paths.base)),
        DoctorCheck("state file", lambda: storage.state(workspace.state_file)),
        *chosen,
    )


def _local(workspace: Workspace) -> Iterator[DoctorCheck]:
    from reconciler.doctor import local

    yield DoctorCheck("extra", local.extra, seconds=local.IMPORT_SECONDS)
    yield DoctorCheck("gateway", lambda: local.gateway(workspace))
    yield DoctorCheck("orphans", lambda: local.orphans(workspace))


def _kubernetes(workspace: Workspace) -> Iterator[DoctorCheck]:
    from reconciler.doctor.cluster import Cluster, helm, sharing
    from reconciler.doctor.rights import permissions
    from reconciler.targets.kubernetes.client.settings import ClusterSettings

    platform, request = workspace.platform, workspace.request
    settings = ClusterSettings(request.kubeconfig, request.context or platform.kubernetes.context)
    cluster = Cluster(platform, settings)
    yield DoctorCheck("helm", helm)
    yield DoctorCheck("store access", lambda: sharing(platform))
    yield DoctorCheck(CLUSTER, cluster.reachable)
    yield DoctorCheck("permissions", lambda: permissions(cluster), needs=CLUSTER)
    yield DoctorCheck("routing", cluster.routing, needs=CLUSTER)
    if platform.kubernetes.routing is Routing.GATEWAY:
        yield DoctorCheck("gateway", cluster.gateway, needs="routing")
    yield DoctorCheck("monitoring", cluster.monitoring, needs=CLUSTER)
    yield DoctorCheck("secrets", cluster.secrets, needs=CLUSTER)
