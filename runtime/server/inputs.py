"""From a request's body to rows that a model can be asked; InputError for everything else."""

from __future__ import annotations

from typing import Any

import orjson

from runtime.errors import InputError

_NUMBERS = frozenset({int, float, bool})


def parse(body: bytes) -> list[Any]:
    """The `inputs` of a request: a list of at least one element."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError("invalid_json", f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict) or "inputs" not in document:
        raise InputError("missing_inputs", 'The body has to be an object with "inputs": {"inputs": [[1.0, 2.0]]}.')
    inputs = document["inputs"]
    if not isinstance(inputs, list) or not inputs:
        raise InputError("invalid_inputs", '"inputs" has to be a list of at least one row.')
    return inputs


def matrix(inputs: list[Any], n_features: int | None) -> Any:
    """Rows of numbers as a float64 array of shape (rows, features)."""
    import numpy as np

    width = n_features if n_features is not None else _length(inputs[0])
    for index, row in enumerate(inputs):
        if type(row) is not list:
            raise InputError("invalid_inputs", f"Row {index} is {_kind(row)}; a row is a list of numbers.", row=index)
        if not _NUMBERS.issuperset(map(type, row)):
            raise _not_a_number(index, row)
        if len(row) != width:
            raise _wrong_length(index, row, n_features, width)
    return np.array(inputs, dtype=np.float64)


def _length(row: Any) -> int:
    return len(row) if type(row) is list else 0


def _not_a_number(index: int, row: list[Any]) -> InputError:
    column = next(i for i, value in enumerate(row) if type(value) not in _NUMBERS)
    return InputError(
        "not_a_number",
        f"Row {index}, column {column} is {_kind(row[column])}; this model takes numbers.",
        row=index,
        column=column,
    )


def _wrong_length(index: int, row: list[Any], n_features: int | None, width: int) -> InputError:
    if n_features is None:
        message = f"Row {index} has {len(row)} values where the first has {width}."
        return InputError("ragged_inputs", message, row=index, expected=width, found=len(row))
    message = f"Row {index} has {len(row)} features; the model takes {n_features}."
    return InputError("feature_count", message, row=index, expected=n_features, found=len(row))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")
