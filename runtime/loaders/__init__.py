"""Turns a model's verified file into a Predictor. Each format has a module of its own, which imports its library only
when a model of that format is loaded.

Called while the server starts. Whatever goes wrong is a ModelError that quotes its cause.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from runtime.errors import RuntimeFault
from runtime.formats import Format
from runtime.loaders.causes import explained
from runtime.loaders.names import own_names_hidden
from runtime.loaders.predictor import ModelInfo, Predictor

__all__ = ["ModelInfo", "Predictor", "load"]

_LOADERS = {
    Format.JOBLIB: "pickled",
    Format.PICKLE: "pickled",
    Format.SKOPS: "skops",
    Format.ONNX: "onnx",
    Format.XGBOOST: "xgboost",
    Format.LIGHTGBM: "lightgbm",
    Format.PYTHON: "python",
}


def load(path: Path, model_format: Format, *, threads: int = 1) -> Predictor:
    """Loads a model: a file, or the folder of a Python predictor. `threads`: how many threads one prediction may use.

    Pickles and Python predictors run code that came with the model. Raises ModelError.
    """
    try:
        module = import_module(f"runtime.loaders.{_LOADERS[model_format]}")
        loader: Callable[[Path, Format, int], Predictor] = module.load
        with own_names_hidden():
            return loader(path, model_format, threads)
    except RuntimeFault:
        raise
    except (Exception, SystemExit) as error:
        raise explained(error, path.name, model_format) from error
