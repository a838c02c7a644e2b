"""Turns a request's body into rows for the model; InputError for everything that is none.

orjson holds the interpreter's lock while it parses, so that nothing else runs, /health included. The number of values
bounds this time (about 0.1 s for a million), and the memory (at most about 80 MiB for a million, of any kind). They are
counted before they are parsed, in slices between which other threads run.
"""

from __future__ import annotations

import gc
from typing import Any

import orjson

from runtime.errors import InputError, RequestFault

MAX_DEPTH = 64
_NUMBERS = frozenset({int, float, bool})
_SLICE_BYTES = 256 * 1024
_COUNTED = b',:[{"'
_UNCOUNTED = bytes(set(range(256)) - set(_COUNTED))


def parse(body: bytes, max_values: int) -> list[Any]:
    """The `inputs` of a request: a list of at least one element. RequestFault 413 for more than `max_values` JSON
    values."""
    if len(body) > max_values and count_values(body) > max_values:
        message = f"The body has more than {max_values} JSON values. Send it in several requests."
        raise RequestFault(413, "too_many_values", message, limit=max_values)
    try:
        document = orjson.loads(body) if len(body) <= _SLICE_BYTES else _loads_large(body)
    except orjson.JSONDecodeError as error:
        raise InputError("invalid_json", f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict) or "inputs" not in document:
        raise InputError("missing_inputs", 'The body has to be an object with "inputs": {"inputs": [[1.0, 2.0]]}.')
    inputs = document["inputs"]
    if not isinstance(inputs, list) or not inputs:
        raise InputError("invalid_inputs", '"inputs" has to be a list of at least one row.')
    return inputs


def count_values(body: bytes, slice_bytes: int = _SLICE_BYTES) -> int:
    """At least the number of values and keys of a JSON text: each comes after a comma, a colon or an opening bracket
    that is not inside a string, except the first. Counts the same in a text that ends too early."""
    count, inside_string, rest = 1, False, b""
    for start in range(0, len(body), slice_bytes):
        piece = rest + body[start : start + slice_bytes]
        rest = (
            b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""
        )  # half of an escape: the next slice has its end
        piece = piece[: len(piece) - len(rest)]
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.translate(None, _UNCOUNTED).split(b'"')
        count += sum(map(len, parts[inside_string::2]))
        inside_string ^= len(parts) % 2 == 0
    return count


def refuse_depth(inputs: list[Any]) -> None:
    """InputError for lists and objects that are nested too deeply for the recursive code that most models contain."""
    level: list[Any] = [inputs]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inner(value)]
        if not level:
            return
    raise InputError("too_deep", f"The inputs are nested more than {MAX_DEPTH} levels deep.", limit=MAX_DEPTH)


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


def _loads_large(body: bytes) -> Any:
    """Without the garbage collector, which would go through all that was made so far again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return orjson.loads(body)
    finally:
        if was_enabled:
            gc.enable()


def _inner(value: Any) -> Any:
    """The containers directly in a container."""
    inner = value.values() if type(value) is dict else value
    return [each for each in inner if type(each) in (list, dict)]


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
