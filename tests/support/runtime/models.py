"""Small models for tests of every room: trained in milliseconds, without network, the same every time.

Each factory writes one file (or folder) and returns its path. The model libraries are imported inside, so
that a test which needs no model pays for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from runtime.formats import Format

ROWS: list[list[float]] = [[0.0, 0.0, 0.0], [0.2, 0.1, 0.3], [0.9, 0.8, 0.7], [1.0, 1.0, 1.0]]
LABELS = [0, 0, 1, 1]
"""What `train_logistic` and the other classifiers learn, and answer for ROWS: three features, two classes."""

ECHO = """
    class Predictor:
        def __init__(self, path):
            self.path = path

        def predict(self, inputs):
            return inputs
"""


def logistic_regression() -> Any:
    """A fitted scikit-learn classifier of three features that answers LABELS for ROWS."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=100.0).fit(ROWS, LABELS)


def train_logistic(path: Path) -> Path:
    """A scikit-learn classifier, saved with joblib."""
    import joblib

    return _written(path, lambda: joblib.dump(logistic_regression(), path))


def write_pickle(path: Path, model: Any) -> Path:
    """Any object, pickled."""
    import pickle

    return _written(path, lambda: path.write_bytes(pickle.dumps(model)))


def train_skops(path: Path, model: Any = None) -> Path:
    """A scikit-learn classifier (or the given model), saved with skops."""
    from skops import io

    return _written(path, lambda: io.dump(model or logistic_regression(), path))


def train_onnx(path: Path, model: Any = None) -> Path:
    """A scikit-learn classifier (or the given model of three features), converted to ONNX."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    converted = to_onnx(model or logistic_regression(), initial_types=[("x", FloatTensorType([None, 3]))])
    return _written(path, lambda: path.write_bytes(converted.SerializeToString()))


def train_xgboost(path: Path, *, classifier: bool = True) -> Path:
    """A gradient-boosted model (.ubj or .json by the path's suffix): a classifier with scikit-learn's
    metadata, or a plain Booster that answers probabilities."""
    import numpy as np
    import xgboost

    settings: dict[str, Any] = {"n_estimators": 20, "min_child_weight": 0, "nthread": 1}
    if classifier:
        model = xgboost.XGBClassifier(**settings).fit(np.array(ROWS), np.array(LABELS))
    else:
        data = xgboost.DMatrix(np.array(ROWS), label=np.array(LABELS))
        model = xgboost.train({"objective": "binary:logistic", "min_child_weight": 0, "nthread": 1}, data, 20)
    return _written(path, lambda: model.save_model(path))


def train_lightgbm(path: Path) -> Path:
    """A LightGBM booster that answers probabilities."""
    import lightgbm
    import numpy as np

    settings = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 1, "min_data_in_bin": 1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(np.array(ROWS), label=np.array(LABELS)), 20)
    return _written(path, lambda: booster.save_model(path))


def write_python_predictor(folder: Path, body: str = ECHO, files: Mapping[str, str] | None = None) -> Path:
    """A folder with `predictor.py` (by default one that answers its inputs: quick to start, as it imports
    nothing) and whatever other files it wants."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"predictor.py": body, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def write_version(folder: Path, artifact: Path, requirements: str | None = None) -> str:
    """A version's folder as a store holds it: artifact, requirements.txt, manifest. Returns the digest."""
    import hashlib
    import shutil

    from runtime.formats import HEAD_SIZE, infer_format
    from runtime.manifest import ARTIFACT_NAMES, MANIFEST_NAME, REQUIREMENTS_NAME, Manifest, sha256_of
    from runtime.packing import folder_entries, pack

    folder.mkdir(parents=True, exist_ok=True)
    if artifact.is_dir():
        stored = folder / ARTIFACT_NAMES[Format.PYTHON]
        stored.write_bytes(b"".join(pack(folder_entries(artifact))))
        model_format = Format.PYTHON
    else:
        model_format = infer_format(artifact.name, artifact.read_bytes()[:HEAD_SIZE])
        stored = Path(shutil.copyfile(artifact, folder / ARTIFACT_NAMES[model_format]))
    pinned = None
    if requirements is not None:
        (folder / REQUIREMENTS_NAME).write_text(requirements)
        pinned = hashlib.sha256(requirements.encode()).hexdigest()
    manifest = Manifest.of(model_format, sha256_of(stored), pinned)
    (folder / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    return manifest.digest


def _written(path: Path, write: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write()
    return path
