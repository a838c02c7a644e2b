"""Processes that no file tells of any more: somebody has deleted the run directory under them.

Whose they are stands in their environment, so they are shown, taken away and replaced like everything else.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.resources import ResourceId
from reconciler.targets.local import processes
from reconciler.targets.local.marks import Owner, RunDir
from reconciler.targets.local.processes import Bearer


def strays(run_dir: RunDir) -> Iterator[tuple[Owner, Bearer]]:
    """Every process of the runtime that was started for this run directory and has no folder in it."""
    for bearer in processes.bearers(run_dir.root):
        owner = Owner.of(bearer.environment)
        if owner is not None and not run_dir.variant(owner.variant_id).replica(bearer.token).is_dir():
            yield owner, bearer


def kill_strays(run_dir: RunDir, installation: str, variant: ResourceId) -> bool:
    """Ends those of one variant at once: where they listen is not known. True where there were some."""
    wanted = (installation, variant)
    found = [bearer for owner, bearer in strays(run_dir) if (owner.installation, owner.variant_id) == wanted]
    for bearer in found:
        processes.kill(bearer.process, bearer.token)
    return bool(found)
