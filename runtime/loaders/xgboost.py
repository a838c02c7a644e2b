"""XGBoost models (.ubj or .json). A model saved by XGBClassifier or XGBRegressor answers as these do, with labels or
numbers; a plain Booster answers with the library's own prediction, for most objectives probabilities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.formats import Format
from runtime.loaders.predictor import ModelInfo, Predictor


class Boosted:
    def __init__(self, booster: Any, library_version: str) -> None:
        self._booster = booster
        self.n_features: int | None = booster.num_features()
        self.numeric = True
        self.info = ModelInfo("Booster", "xgboost", library_version)

    def predict(self, rows: Any) -> Any:
        import xgboost

        names = self._booster.feature_names
        return self._booster.predict(xgboost.DMatrix(rows, feature_names=names))


class BoostedEstimator:
    """One of xgboost.sklearn's classes, restored around a booster that says it was saved by it."""

    def __init__(self, model: Any, library_version: str) -> None:
        self._model = model
        self.n_features: int | None = model.n_features_in_
        self.numeric = True
        self.info = ModelInfo(type(model).__name__, "xgboost", library_version)

    def predict(self, rows: Any) -> Any:
        return self._model.predict(rows)


def load(path: Path, model_format: Format, threads: int) -> Predictor:
    import xgboost

    # From memory, because from a file xgboost takes the encoding from its suffix, which a version's lacks.
    content = bytearray(path.read_bytes())
    booster = xgboost.Booster()
    booster.load_model(content)
    booster.set_param({"nthread": threads})
    estimator = _estimator_class(booster, xgboost)
    if estimator is None:
        return Boosted(booster, xgboost.__version__)
    model = estimator(n_jobs=threads)
    model.load_model(content)
    return BoostedEstimator(model, xgboost.__version__)


def _estimator_class(booster: Any, xgboost: Any) -> Any:
    saved_by = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
    classes = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}
    return getattr(xgboost, classes[saved_by]) if saved_by in classes else None
