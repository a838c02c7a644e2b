"""Keeps the logs of failed replicas after their folders are deleted, for `kubeserve logs --failed`.

Called when a variant that never served is removed, and when an ended replica is replaced. Keeps the newest few of
each deployment.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.resources import ResourceId
from reconciler.targets.endings import before_dump, how_it_ended
from reconciler.targets.local import processes
from reconciler.targets.local.files import make_folder, read_json
from reconciler.targets.local.logs import last_lines, said
from reconciler.targets.local.marks import VariantMark, read, write
from reconciler.targets.local.replicas import Replica, ReplicaFolder
from reconciler.targets.local.rundir import RunDir

KEPT = 5  # of each deployment

_UNKNOWN_CAUSE = "it ended without a reason: killed from outside, or the machine ran out of memory"
DUMP_LINES = 400
"""From the end of a log: more than faulthandler writes of a hundred threads."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known about a failed replica; its log is in the same folder."""

    variant: str
    version: str
    cause: str
    token: str


def cause_of(replica: Replica) -> str:
    """Why a replica has ended, in one line: in the runtime's own words, else from how its process ended, as far as this
    process started it, or from what it wrote last."""
    folder = replica.folder
    reason = (read_json(folder.reason_file) or {}).get("reason")
    if reason:
        return str(reason)
    code = processes.exit_code(replica.process.pid) if replica.process is not None else None
    output = said(*folder.logs, DUMP_LINES)
    if (code is not None and code < 0) or len(before_dump(output)) < len(output):
        return how_it_ended(code or 0, output)
    words = f": {before_its_log[0]}" if (before_its_log := last_lines(folder.output_file, 1)) else ""
    if code is not None:
        return how_it_ended(code, output) + words
    return words.removeprefix(": ") or _UNKNOWN_CAUSE


def keep(run_dir: RunDir, mark: VariantMark, replicas: Collection[Replica]) -> None:
    """Moves the logs of failed replicas to a place that outlives them."""
    parent = run_dir.failed(mark.tenant, mark.deployment)
    for replica in replicas:
        kept = parent / f"{time.time_ns():x}-{mark.variant}"
        make_folder(kept)
        for file in (*replica.folder.path.glob("log*"), replica.folder.output_file):
            with suppress(FileNotFoundError):
                file.rename(kept / file.name)
        write(kept / "failure.json", Failure(mark.variant, mark.version, cause_of(replica), replica.folder.token))
    for old in _newest_first(parent)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def newest(run_dir: RunDir, deployment: ResourceId) -> ReplicaFolder | None:
    """The logs of a deployment's last failure."""
    for kept in _newest_first(run_dir.failed(deployment.tenant, deployment.name)):
        if read(kept / "failure.json", Failure) is not None:
            return ReplicaFolder(kept)
    return None


def forget(run_dir: RunDir, tenant: str) -> None:
    """Deletes the kept logs of a tenant that is removed."""
    shutil.rmtree(run_dir.failed(tenant), ignore_errors=True)


def _newest_first(parent: Path) -> list[Path]:
    return sorted((path for path in parent.glob("*") if path.is_dir()), reverse=True)
