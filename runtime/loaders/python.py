"""A folder with `predictor.py`, for models that no other format holds. The whole contract:

    class Predictor:
        def __init__(self, path):      # pathlib.Path of the folder, which is read-only; called once
        def predict(self, inputs):     # the request's `inputs`, a list of at least one element
            return [...]               # one prediction each: JSON values, or NumPy's

A ValueError raised by `predict` means that the inputs are wrong (400); any other exception is the model's failure
(500). `predict` is called from as many threads at once as the server's concurrency, by default the CPUs that the
deployment has, rounded up. Modules beside predictor.py can be imported by their names.
"""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime.errors import InputError, ModelError
from runtime.formats import Format
from runtime.loaders.names import OWN_PACKAGE, taken_name
from runtime.loaders.predictor import ModelInfo, Predictor

PREDICTOR_FILE = "predictor.py"


class PythonModel:
    numeric = False
    n_features = None

    def __init__(self, predictor: Any) -> None:
        self._predict = predictor.predict
        self.info = ModelInfo(type(predictor).__name__, "python", ".".join(map(str, sys.version_info[:3])))

    def predict(self, rows: Any) -> Any:
        try:
            return self._predict(rows)
        except ValueError as error:
            raise InputError("invalid_inputs", str(error) or "The model refused the inputs.") from error


def load(path: Path, model_format: Format, threads: int) -> Predictor:
    module = _import(path)
    kind = getattr(module, "Predictor", None)
    if not isinstance(kind, type) or not callable(getattr(kind, "predict", None)):
        raise ModelError(
            "Not a Python predictor", f"{PREDICTOR_FILE} has to define a class Predictor with a method predict(inputs)."
        )
    return PythonModel(kind(path))


def _import(folder: Path) -> ModuleType:
    file = folder / PREDICTOR_FILE
    if not file.is_file():
        raise ModelError("Not a Python predictor", f"There is no {PREDICTOR_FILE} at the top of the folder.")
    if taken := taken_name(folder):
        raise ModelError(
            "A module's name is taken",
            f"The name '{OWN_PACKAGE}' is taken by the server, so {taken} can't be imported: rename it, and its "
            "imports.",
        )
    spec = util.spec_from_file_location("predictor", file)
    if spec is None or spec.loader is None:
        raise ModelError("Not a Python predictor", f"Python can't import {PREDICTOR_FILE}.")
    module = util.module_from_spec(spec)
    sys.modules["predictor"] = module
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # the folder may be the user's own
    spec.loader.exec_module(module)
    return module
