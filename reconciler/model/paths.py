"""Where an installation keeps what it runs, caches and reads on this machine. Pure: creates nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOME = ".kubeserve"


@dataclass(frozen=True, slots=True)
class Paths:
    base: Path  # the folder that relative paths of platform.yaml start from

    @property
    def home(self) -> Path:
        return self.base / HOME

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"
