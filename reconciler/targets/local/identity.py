"""The environment variables by which we recognise our processes: where one comes from, and what it serves.

Every process that we start carries an `Origin`, so that we recognise it even if its files are gone;
a replica carries `ProcessLabels` as well. Only this module knows the names of these variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.model.resources import ResourceId, deployment_id, variant_id

GATEWAY_TOKEN = "gateway"  # noqa: S105 - names a process, opens nothing; a run directory has one gateway

_RUN_DIR = "KUBESERVE_RUN_DIR"
_TOKEN = "KUBESERVE_TOKEN"  # noqa: S105 - names a process, opens nothing


@dataclass(frozen=True, slots=True)
class Origin:
    """The run directory that a process was started for, and its name in there."""

    run_dir: Path
    token: str

    def to_environment(self) -> dict[str, str]:
        return {_RUN_DIR: str(self.run_dir), _TOKEN: self.token}

    def is_in(self, environment: Mapping[str, str]) -> bool:
        return self.to_environment().items() <= environment.items()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Origin | None:
        run_dir, token = environment.get(_RUN_DIR), environment.get(_TOKEN)
        return cls(Path(run_dir), token) if run_dir and token else None


@dataclass(frozen=True, slots=True)
class ProcessLabels:
    """The installation that a replica belongs to, and what it serves."""

    installation: str
    tenant: str
    deployment: str
    model: str
    version: str
    variant: str

    @property
    def variant_id(self) -> ResourceId:
        return variant_id(self.tenant, self.variant)

    @property
    def deployment_id(self) -> ResourceId:
        return deployment_id(self.tenant, self.deployment)

    def to_environment(self) -> dict[str, str]:
        return {f"KUBESERVE_{name.upper()}": value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ProcessLabels | None:
        try:
            return cls(*(environment[f"KUBESERVE_{name.upper()}"] for name in cls.__slots__))
        except KeyError:
            return None
