"""The contract suite's bench over the in-memory target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.model.resources import DesiredVariant, DesiredVersion, version_id
from reconciler.targets.protocol import DeploymentTarget, Readiness, ReadinessState
from tests.support.engine.graphs import sha256
from tests.support.engine.memory_target import READY, MemoryTarget
from tests.support.local.bench import Bench

CRASHED = Readiness(ReadinessState.FAILED, "it crashed")


class MemoryBench(Bench):
    """As a bench of local processes, with nothing stored and nothing run."""

    target: Any

    def __init__(self, root: Path) -> None:
        self.crashing: set[str] = set()
        self.memory = MemoryTarget(behaviour=self._behaviour, strict=False)
        super().__init__(root)

    def new_target(self, installation: str = "default", *, port: int | None = None) -> Any:
        target: DeploymentTarget = self.memory.beside(installation)
        return target

    def version(
        self, name: str, body: str | None = None, *, tenant: str = "fraud", requirements: str | None = None
    ) -> DesiredVersion:
        """A version with a body of its own crashes."""
        if body is not None:
            self.crashing.add(name)
        digest = "sha256:" + sha256(f"{tenant}/{name}")
        return DesiredVersion(version_id(tenant, "churn", name), "churn", name, digest, None)

    def lose_a_replica(self, variant: DesiredVariant) -> None:
        self.memory.lose(variant.id)

    def clean_up(self) -> Mapping[int, str]:
        return {}

    def _behaviour(self, variant: DesiredVariant) -> Readiness:
        return CRASHED if variant.version_name in self.crashing else READY
