"""Turns what a model returned into the body of the answer; RequestFault 500 unless it is one valid prediction per
row."""

from __future__ import annotations

import math
import sys
from typing import Any

import orjson

from runtime.errors import RequestFault

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def encode(predictions: Any, rows: int) -> bytes:
    """`{"predictions": […]}` with as many predictions as rows; NumPy's types become JSON's."""
    plain = _plain(predictions)
    if len(plain) != rows:
        raise _bad(f"The model returned {len(plain)} predictions for {rows} rows.")
    if not _finite(plain):
        raise _bad("The model returned a number that is not finite (NaN or infinity).")
    try:
        return orjson.dumps({"predictions": plain}, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise _bad(f"The model's predictions can't be written as JSON: {error}.") from error


def _plain(predictions: Any) -> Any:
    if isinstance(predictions, list):
        return predictions
    if hasattr(predictions, "toarray"):  # SciPy's sparse matrices, as multilabel classifiers return
        predictions = predictions.toarray()
    if hasattr(predictions, "__array__"):
        return _plain_array(predictions)
    if hasattr(predictions, "__iter__") and not isinstance(predictions, str | bytes | dict):
        return list(predictions)
    raise _bad(f"The model returned {type(predictions).__name__}, not a list of predictions.")


def _plain_array(predictions: Any) -> Any:
    import numpy as np

    array = np.asarray(predictions)
    if array.ndim == 0:
        raise _bad("The model returned a single value, not a list of predictions.")
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    if array.dtype.kind in "fiu":
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return array.tolist()


def _finite(plain: Any) -> bool:
    if hasattr(plain, "dtype"):
        return _finite_array(plain)
    pending = [plain]
    while pending:
        value = pending.pop()
        if isinstance(value, float):
            if not math.isfinite(value):
                return False
        elif isinstance(value, list | tuple):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value.values())
        elif hasattr(value, "dtype") and not _finite_array(value):
            return False
    return True


def _finite_array(array: Any) -> bool:
    np = sys.modules["numpy"]
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _bad(message: str) -> RequestFault:
    return RequestFault(500, "bad_prediction", message)
