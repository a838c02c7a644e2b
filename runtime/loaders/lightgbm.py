"""LightGBM models (.txt): a Booster, which answers probabilities (classes) or numbers (regression)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.formats import Format
from runtime.loaders.predictor import ModelInfo, Predictor


class Boosted:
    def __init__(self, booster: Any, threads: int, library_version: str) -> None:
        self._booster = booster
        self._threads = threads
        self.n_features: int | None = booster.num_feature()
        self.numeric = True
        self.info = ModelInfo("Booster", "lightgbm", library_version)

    def predict(self, rows: Any) -> Any:
        return self._booster.predict(rows, num_threads=self._threads)


def load(path: Path, model_format: Format, threads: int) -> Predictor:
    import lightgbm

    return Boosted(_booster(path, lightgbm), threads, lightgbm.__version__)


def _booster(path: Path, lightgbm: Any) -> Any:
    """Windows line endings, as a Git checkout or an editor makes them, are taken out: LightGBM finds its trees by
    their offsets in bytes, and aborts the process where they don't fit."""
    content = path.read_bytes()
    if b"\r\n" not in content:
        return lightgbm.Booster(model_file=str(path))
    return lightgbm.Booster(model_str=content.replace(b"\r\n", b"\n").decode())
