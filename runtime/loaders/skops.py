"""Models saved with skops: scikit-learn's without pickle. Only types of scikit-learn, NumPy and SciPy are loaded; skops
by itself trusts too few of them (a RandomForest needs `sklearn.tree._tree.Tree`)."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import ModelError
from runtime.formats import Format
from runtime.loaders.estimator import Estimator
from runtime.loaders.predictor import Predictor

_TRUSTED = ("sklearn.", "numpy.", "scipy.")


def load(path: Path, model_format: Format, threads: int) -> Predictor:
    from skops import io

    types = io.get_untrusted_types(file=path)
    refused = [name for name in types if not name.startswith(_TRUSTED)]
    if refused:
        raise ModelError(
            "The model holds types that are not trusted",
            f"{path.name}: {', '.join(refused)}. A .skops file may hold types of scikit-learn, NumPy and SciPy; "
            "serve others as .joblib, or as a folder with predictor.py.",
        )
    return Estimator(io.load(path, trusted=types))
