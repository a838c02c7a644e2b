"""Processes that no file names any more, because somebody deleted the run directory.

Their environment identifies them, so they are shown, ended and replaced like all others.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.resources import ResourceId
from reconciler.targets.local import processes
from reconciler.targets.local.identity import Origin, ProcessLabels
from reconciler.targets.local.processes import Bearer
from reconciler.targets.local.rundir import RunDir


def strays(run_dir: RunDir) -> Iterator[tuple[ProcessLabels, Bearer]]:
    """Every process of the runtime that was started for this run directory and has no folder in it."""
    for bearer in processes.bearers(run_dir.root):
        labels = ProcessLabels.of(bearer.environment)
        if labels is not None and not run_dir.variant(labels.variant_id).replica(bearer.token).is_dir():
            yield labels, bearer


def kill_strays(run_dir: RunDir, installation: str, variant: ResourceId) -> bool:
    """Kills the strays of one variant without draining, because their addresses are unknown. True if there were any."""
    wanted = (installation, variant)
    found = [bearer for labels, bearer in strays(run_dir) if (labels.installation, labels.variant_id) == wanted]
    for bearer in found:
        processes.kill(bearer.process, Origin(run_dir.root, bearer.token))
    return bool(found)
