"""From a body to an answer: what can be asked is answered, everything else is refused in its own words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputError, RequestFault
from runtime.loaders.predictor import ModelInfo
from runtime.server.inference import answer
from runtime.server.inputs import MAX_DEPTH, count_values, matrix, parse
from runtime.server.outputs import encode

MAX_VALUES = 1000


@dataclass
class Model:
    """Answers what it is told to, or the sum of each row."""

    result: Any = None
    n_features: int | None = 2
    numeric: bool = True
    info: ModelInfo = ModelInfo("Model", "tests", "1")  # noqa: RUF009 - frozen

    def predict(self, rows: Any) -> Any:
        if isinstance(self.result, BaseException):
            raise self.result
        if self.result is not None:
            return self.result
        return rows.sum(axis=1) if self.numeric else rows


def asked(body: bytes, model: Model | None = None) -> Any:
    return orjson.loads(answer(model or Model(), body, MAX_VALUES))["predictions"]


def refused(body: bytes, model: Model | None = None) -> RequestFault:
    with pytest.raises(RequestFault) as caught:
        answer(model or Model(), body, MAX_VALUES)
    return caught.value


def test_rows_of_numbers_are_answered_one_by_one() -> None:
    assert asked(b'{"inputs": [[1, 2], [0.5, -1e3], [true, false]]}') == [3.0, -999.5, 1.0]


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"", "invalid_json", "not JSON"),
        (b"{", "invalid_json", "not JSON"),
        (b'{"inputs": [[NaN, 1]]}', "invalid_json", "not JSON"),
        (b'{"inputs": [[1e999, 1]]}', "invalid_json", "infinity"),
        (b"\xff\xfe", "invalid_json", "not JSON"),
        (b"[[1, 2]]", "missing_inputs", "object with"),
        (b'{"instances": [[1, 2]]}', "missing_inputs", "object with"),
        (b'{"inputs": null}', "invalid_inputs", "at least one row"),
        (b'{"inputs": {"a": 1}}', "invalid_inputs", "at least one row"),
        (b'{"inputs": []}', "invalid_inputs", "at least one row"),
        (b'{"inputs": [1, 2]}', "invalid_inputs", "Row 0 is a number; a row is a list"),
        (b'{"inputs": [[1, 2], "ab"]}', "invalid_inputs", "Row 1 is text"),
        (b'{"inputs": [[1, "2"]]}', "not_a_number", "Row 0, column 1 is text"),
        (b'{"inputs": [[1, 2], [null, 1]]}', "not_a_number", "Row 1, column 0 is null"),
        (b'{"inputs": [[1, [2]]]}', "not_a_number", "column 1 is a list"),
        (b'{"inputs": [[1, {}]]}', "not_a_number", "column 1 is an object"),
        (b'{"inputs": [[1, 2, 3]]}', "feature_count", "Row 0 has 3 features; the model takes 2"),
        (b'{"inputs": [[1, 2], []]}', "feature_count", "Row 1 has 0 features"),
    ],
)
def test_what_can_not_be_asked_is_refused_in_its_own_words(body: bytes, reason: str, words: str) -> None:
    fault = refused(body)
    assert (fault.status, fault.reason) == (400, reason)
    assert words in fault.summary


def test_rows_of_different_lengths_are_refused_where_any_length_would_do() -> None:
    fault = refused(b'{"inputs": [[1, 2, 3], [1, 2]]}', Model(n_features=None))
    assert (fault.reason, fault.fields) == ("ragged_inputs", {"row": 1, "expected": 3, "found": 2})


def test_a_wrong_feature_count_is_told_in_numbers_too() -> None:
    assert refused(b'{"inputs": [[1]]}').fields == {"row": 0, "expected": 2, "found": 1}


def test_a_model_without_numbers_gets_any_list() -> None:
    body = b'{"inputs": ["good film", {"title": "x"}, [1, "a", null]]}'
    assert asked(body, Model(numeric=False, n_features=None)) == ["good film", {"title": "x"}, [1, "a", None]]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
BODIES = (
    st.binary(max_size=60)
    | JSON_VALUES.map(lambda value: repr(value).encode("utf-8", "replace"))
    | JSON_VALUES.map(lambda value: json.dumps({"inputs": value}).encode())  # integers of any size, NaN
)
SIZED = st.integers(-(2**63), 2**63).map(str) | st.floats().map(repr)
TABLES = st.lists(st.lists(SIZED, max_size=3).map(",".join), max_size=3).map(lambda rows: "],[".join(rows))


@given(BODIES | TABLES.map(lambda rows: f'{{"inputs": [[{rows}]]}}'.encode()), st.sampled_from([None, 2]))
def test_no_body_whatever_is_a_failure_of_the_server(body: bytes, n_features: int | None) -> None:
    try:
        rows = matrix(parse(body, MAX_VALUES), n_features)
    except InputError:
        return
    assert rows.dtype == np.float64
    assert rows.ndim == 2
    assert np.isfinite(rows).all()


def test_a_body_nested_without_end_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        parse(b'{"inputs": ' + b"[" * 100_000, 1_000_000)
    assert caught.value.reason == "invalid_json"
    assert refused(b'{"inputs": ' + b"[" * 500 + b"]" * 500 + b"}").reason == "not_a_number"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array([1, 2], dtype=np.int64), [1, 2]),
        (np.array([1, 2], dtype=">i4"), [1, 2]),
        (np.array([0.5, 1.5], dtype=np.float32), [0.5, 1.5]),
        (np.array([0.5, 1.5], dtype=np.longdouble), [0.5, 1.5]),
        (np.array([True, False]), [True, False]),
        (np.array(["yes", "no"]), ["yes", "no"]),
        (np.array(["yes", 1], dtype=object), ["yes", 1]),
        (np.array([[0.1, 0.9], [0.8, 0.2]]), [[0.1, 0.9], [0.8, 0.2]]),
        (np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]),
        (np.arange(4.0)[::2], [0.0, 2.0]),
        ([np.float32(0.5), np.int64(3)], [0.5, 3]),
        ([np.array([1.0]), [np.float64(2)]], [[1.0], [2.0]]),
        ([{1: 0.5, "b": np.float32(0.25)}, {"c": None}], [{"1": 0.5, "b": 0.25}, {"c": None}]),
        (("a", "b"), ["a", "b"]),
        ((value for value in (1, 2)), [1, 2]),
    ],
)
def test_predictions_become_json(result: Any, expected: Any) -> None:
    assert orjson.loads(encode(result, 2)) == {"predictions": expected}


def test_a_sparse_matrix_becomes_json() -> None:
    from scipy.sparse import csr_matrix

    assert orjson.loads(encode(csr_matrix([[0, 1], [1, 0]]), 2)) == {"predictions": [[0, 1], [1, 0]]}


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ([1.0, float("nan")], "not finite"),
        (np.array([np.inf, 1.0]), "not finite"),
        ([{"score": [float("-inf")]}, 1], "not finite"),
        ([np.float32("nan"), 1], "not finite"),
        ([np.array([np.nan]), 1], "not finite"),
        (np.array([np.nan, "x"], dtype=object), "not finite"),
        ([1.0], "1 predictions for 2 rows"),
        (np.zeros((3, 2)), "3 predictions for 2 rows"),
        (np.float64(1.0), "a single value"),
        (None, "returned NoneType"),
        ("ab", "returned str"),
        ({"a": 1, "b": 2}, "returned dict"),
        (3, "returned int"),
        ([object(), 1], "can't be written as JSON"),
        ([2**70, 1], "can't be written as JSON"),
    ],
)
def test_what_is_no_prediction_is_the_models_failure(result: Any, words: str) -> None:
    with pytest.raises(RequestFault, match=words) as caught:
        encode(result, 2)
    assert (caught.value.status, caught.value.reason) == (500, "bad_prediction")


@pytest.mark.parametrize(
    "error", [RuntimeError("no such layer"), SystemExit("no such layer"), KeyError("no such layer")]
)
def test_a_model_that_raises_is_quoted_and_its_traceback_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    fault = refused(b'{"inputs": [[1, 2]]}', Model(error))
    assert (fault.status, fault.reason) == (500, "model_failed")
    assert "no such layer" in fault.summary
    assert "Traceback" not in str(fault)
    assert "Traceback" in caplog.text
    assert type(error).__name__ in caplog.text


def test_a_model_that_refuses_its_inputs_is_no_failure() -> None:
    assert refused(b'{"inputs": [[1, 2]]}', Model(InputError("invalid_inputs", "too old"))).status == 400


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["\\", '"', '\\",[', "a,b:c{d[e"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


def size_of(value: Any) -> int:
    """Values and keys, where an empty list or object counts twice."""
    if isinstance(value, dict):
        return 1 + (len(value) + sum(map(size_of, value.values())) if value else 1)
    if isinstance(value, list):
        return 1 + (sum(map(size_of, value)) if value else 1)
    return 1


@given(JSON_VALUES, st.booleans(), st.integers(1, 20))
def test_values_are_counted_without_parsing_whatever_strings_hold(
    value: Any, ascii_only: bool, slice_bytes: int
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert count_values(text, slice_bytes) == size_of(value)
    assert count_values(text[: len(text) // 2], slice_bytes) <= size_of(value)


@pytest.mark.parametrize("unit", ["[]", '{"a":1}', "1", '"x"', '{"a":{"b":[]}}'])
def test_more_values_than_the_limit_are_refused_before_they_are_parsed(unit: str) -> None:
    fault = refused(f'{{"inputs": [{",".join([unit] * MAX_VALUES)}]}}'.encode(), Model(numeric=False))
    assert (fault.status, fault.reason, fault.fields) == (413, "too_many_values", {"limit": MAX_VALUES})
    assert refused(f'{{"inputs": [{",".join([unit] * MAX_VALUES)}'.encode()).reason == "too_many_values"


def test_long_text_is_not_many_values() -> None:
    text = "one, two: [three] " * MAX_VALUES
    assert asked(json.dumps({"inputs": [text]}).encode(), Model(numeric=False)) == [text]


def test_a_body_just_within_the_limit_of_values_is_answered() -> None:
    inputs = [0] * (MAX_VALUES - 3)  # the object, its key and the list are values as well
    assert asked(json.dumps({"inputs": inputs}).encode(), Model(numeric=False)) == inputs
    assert refused(json.dumps({"inputs": [*inputs, 0]}).encode()).reason == "too_many_values"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_inputs_that_are_nested_too_deeply_are_refused(opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        inner = levels - 1  # the list of inputs is a level
        return f'{{"inputs": [{opening * inner}1{closing * inner}]}}'.encode()

    assert asked(nested(MAX_DEPTH), Model(numeric=False))
    fault = refused(nested(MAX_DEPTH + 1), Model(numeric=False))
    assert (fault.status, fault.reason, fault.fields) == (400, "too_deep", {"limit": MAX_DEPTH})
