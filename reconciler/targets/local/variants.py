"""Brings a variant to the number of processes that it should have, and removes those that have ended.

Called by the target's `ensure`. The steps that can fail and must then leave nothing behind come first (the version's
files, its requirements, its secrets); then the mark, then the processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.artifacts.protocol import ArtifactStore, VersionRef
from reconciler.model.described import variant_fields
from reconciler.model.resources import DesiredVariant, ResourceId
from reconciler.targets.local import failures, replicas
from reconciler.targets.local.environment import thread_count, variant_environment
from reconciler.targets.local.files import write_json
from reconciler.targets.local.identity import ProcessLabels
from reconciler.targets.local.marks import VariantMark, write
from reconciler.targets.local.replicas import TERM_SECONDS, Replica
from reconciler.targets.local.routing import Routing
from reconciler.targets.local.rundir import RunDir, VariantFolder
from reconciler.targets.local.strays import kill_strays
from reconciler.targets.protocol import TargetError
from runtime.manifest import REQUIREMENTS_NAME

LOG_LIMIT_BYTES = 5 * 1024**2
"""Of a replica's log file and of the older part beside it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How the runtime is started for one variant."""

    command: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts the variants of one installation."""

    run_dir: RunDir
    installation: str
    store: ArtifactStore
    cache_dir: Path
    secrets_dir: Path
    routing: Routing

    def ensure(self, variant: DesiredVariant, count: int) -> None:
        """Makes `count` replicas run; they are not ready yet when this returns. TargetError or StoreError."""
        folder = self.run_dir.variant(variant.id)
        launch = self._launch(variant, folder)
        _write_mark(folder, self._mark(variant, count, folder.mark()))
        write_json(folder.checks_file, variant.checks)
        folder.removal_file.unlink(missing_ok=True)
        self._clear(variant, folder)
        running = [replica for replica in replicas.replicas_of(folder) if replica.serves]
        try:
            for _ in range(count - len(running)):
                replicas.start(folder, launch.command, launch.environment)
        except TargetError:
            if not any(replica.alive for replica in replicas.replicas_of(folder)):
                self.run_dir.discard(folder.path)
            raise
        self._retire(variant, running[count:])

    def note_served(self, variants: Iterable[ResourceId]) -> None:
        """Notes that these variants have traffic, so that a later removal does not count as a failed start."""
        for variant in variants:
            self.run_dir.variant(variant).served_file.touch(mode=0o600)

    def _launch(self, variant: DesiredVariant, folder: VariantFolder) -> Launch:
        reference = VersionRef(variant.id.tenant, variant.model, variant.version_name, variant.digest)
        version = self.store.fetch(reference, self.cache_dir)
        environment = variant_environment(variant, self.secrets_dir) | self._labels(variant).to_environment()
        if overlay := self._overlay(version / REQUIREMENTS_NAME):
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(overlay), environment.get("PYTHONPATH"))))
        command = (
            *(sys.executable, "-P", "-m", "runtime", str(version), "--digest", variant.digest),
            *("--host", "127.0.0.1", "--port", "0", "--checks", str(folder.checks_file)),
            *("--threads", str(thread_count(variant.cpu_millicores)), "--log-limit", str(LOG_LIMIT_BYTES)),
            *("--request-timeout", str(variant.request_seconds), "--grace", str(variant.drain_seconds)),
        )
        return Launch(command, environment)

    def _overlay(self, requirements: Path) -> Path | None:
        if not requirements.exists():
            return None
        from reconciler.targets.local.overlay import prepare_overlay  # few variants need it, and its imports are slow

        return prepare_overlay(requirements, self.cache_dir)

    def _labels(self, variant: DesiredVariant) -> ProcessLabels:
        return ProcessLabels(
            self.installation,
            variant.id.tenant,
            variant.deployment.name,
            variant.model,
            variant.version_name,
            variant.name,
        )

    def _mark(self, variant: DesiredVariant, count: int, old: VariantMark | None) -> VariantMark:
        return VariantMark(
            installation=self.installation,
            tenant=variant.id.tenant,
            deployment=variant.deployment.name,
            variant=variant.name,
            model=variant.model,
            version=variant.version_name,
            digest=variant.digest,
            fields=variant_fields(variant),
            wanted=count,
            min_replicas=variant.replicas.min,
            max_replicas=variant.replicas.max,
            cpu_millicores=variant.cpu_millicores,
            memory_bytes=variant.memory_bytes,
            request_seconds=variant.request_seconds,
            drain_seconds=variant.drain_seconds,
            created=old.created if old else datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _clear(self, variant: DesiredVariant, folder: VariantFolder) -> None:
        """Removes replicas that have ended, whether or not they were asked to, and kills strays."""
        known = replicas.replicas_of(folder)
        crashed = [r for r in known if r.process is not None and not r.alive and r.kill_at is None]
        if crashed:
            self.routing.drop_replicas(variant.id, [r.address for r in crashed if r.address])
            failures.keep(self.run_dir, self._mark(variant, 0, None), crashed)
        for replica in known:
            if not replica.serves and replicas.end(replica, TERM_SECONDS):
                self.run_dir.discard(replica.folder.path)
        kill_strays(self.run_dir, self.installation, variant.id)

    def _retire(self, variant: DesiredVariant, surplus: Sequence[Replica]) -> None:
        """Ends replicas that serve. The runtime answers the requests that it has accepted before it ends."""
        if surplus:
            self.routing.drop_replicas(variant.id, [r.address for r in surplus if r.address])
        for replica in surplus:
            replicas.end(replica, variant.drain_seconds + TERM_SECONDS)


def _write_mark(folder: VariantFolder, mark: VariantMark) -> None:
    if folder.mark() != mark:
        write(folder.mark_file, mark)
