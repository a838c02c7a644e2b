"""Models saved with joblib or pickle: any object with a `predict` method, usually scikit-learn's.

Loading runs what the pickle says; the file was verified and its tenant is trusted with this process alone.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from runtime.formats import Format
from runtime.loaders.estimator import Estimator
from runtime.loaders.predictor import Predictor


def load(path: Path, model_format: Format, threads: int) -> Predictor:
    return Estimator(_read(path, model_format))


def _read(path: Path, model_format: Format) -> Any:
    if model_format is Format.JOBLIB:
        import joblib

        return joblib.load(path)
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - a tenant's pickle is opened by its own runtime, and only here
