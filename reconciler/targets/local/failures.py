"""Keeps the logs of what failed after its folder is gone, for `kubeserve logs --failed`.

Called when a variant goes that never served, and when an ended replica is replaced. A few are kept of each
deployment, the newest.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.resources import ResourceId
from reconciler.targets.local.files import make_folder, read_json
from reconciler.targets.local.logs import last_lines
from reconciler.targets.local.marks import VariantMark, read, write
from reconciler.targets.local.replicas import Replica, ReplicaFolder
from reconciler.targets.local.rundir import RunDir

KEPT = 5  # of each deployment

_UNKNOWN_CAUSE = "It ended without a reason: killed from outside, or out of memory."


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of one replica that failed; its log lies beside."""

    variant: str
    version: str
    cause: str
    token: str


def cause_of(folder: ReplicaFolder) -> str:
    """Why a replica has ended, in one line: in the runtime's own words, else in its last ones."""
    reason = (read_json(folder.reason_file) or {}).get("reason")
    if reason:
        return str(reason)
    before_its_log = last_lines(folder.output_file, 1)
    return before_its_log[0] if before_its_log else _UNKNOWN_CAUSE


def keep(run_dir: RunDir, mark: VariantMark, replicas: Collection[Replica]) -> None:
    """Moves the logs of replicas that failed to where they outlive them."""
    parent = run_dir.failed(mark.tenant, mark.deployment)
    for replica in replicas:
        kept = parent / f"{time.time_ns():x}-{mark.variant}"
        make_folder(kept)
        for file in (*replica.folder.path.glob("log*"), replica.folder.output_file):
            with suppress(FileNotFoundError):
                file.rename(kept / file.name)
        write(
            kept / "failure.json", Failure(mark.variant, mark.version, cause_of(replica.folder), replica.folder.token)
        )
    for old in _newest_first(parent)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def newest(run_dir: RunDir, deployment: ResourceId) -> ReplicaFolder | None:
    """The logs of a deployment's last failure."""
    for kept in _newest_first(run_dir.failed(deployment.tenant, deployment.name)):
        if read(kept / "failure.json", Failure) is not None:
            return ReplicaFolder(kept)
    return None


def forget(run_dir: RunDir, tenant: str) -> None:
    """Of a tenant that is removed."""
    shutil.rmtree(run_dir.failed(tenant), ignore_errors=True)


def _newest_first(parent: Path) -> list[Path]:
    return sorted((path for path in parent.glob("*") if path.is_dir()), reverse=True)
