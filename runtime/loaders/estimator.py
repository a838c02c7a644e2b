"""Wraps an object with scikit-learn's interface as a Predictor, for the loaders whose files hold one."""

from __future__ import annotations

import sys
from typing import Any

from runtime.errors import ModelError
from runtime.loaders.predictor import ModelInfo

_LIBRARIES = {"sklearn": "scikit-learn"}


class Estimator:
    """A model that says how many features it has gets an array of numbers. Another one (a pipeline that starts with
    text, a class of the user's) gets an array if the inputs form one, else the list."""

    def __init__(self, model: Any) -> None:
        if not callable(getattr(model, "predict", None)):
            raise ModelError(
                "Not a model",
                f"The file holds a {type(model).__name__}, which has no predict(). Save the fitted model itself.",
            )
        self._predict = model.predict
        self.n_features = _feature_count(model)
        self.numeric = self.n_features is not None
        self.info = describe(model)

    def predict(self, rows: Any) -> Any:
        return self._predict(rows if self.numeric else _array_if_numbers(rows))


def describe(model: Any) -> ModelInfo:
    """The class of a model and the library that it comes from."""
    top = type(model).__module__.partition(".")[0]
    version = str(getattr(sys.modules.get(top), "__version__", ""))
    return ModelInfo(type(model).__name__, _LIBRARIES.get(top, top), version)


def _feature_count(model: Any) -> int | None:
    count = getattr(model, "n_features_in_", None)
    return int(count) if count is not None else None


def _array_if_numbers(rows: Any) -> Any:
    import numpy as np

    flat = [row if isinstance(row, list) else [row] for row in rows]
    if any(not isinstance(value, int | float) for row in flat for value in row) or len({*map(len, flat)}) > 1:
        return rows
    return np.array(rows, dtype=np.float64)
