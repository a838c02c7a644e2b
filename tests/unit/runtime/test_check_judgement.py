"""An answer passes a check when its numbers are near and everything else is the same."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.server.checks import judge
from runtime.settings import Check


def problem(expected: Any, got: Any, tolerance: float = 1e-6) -> str:
    return judge(Check([[1.0, 2.0]], expected, tolerance), 200, {"predictions": got})


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ([1], [1]),
        ([1], [1.0000001]),
        ([0.3], [0.30000004]),
        ([0], [1e-7]),
        ([250_000], [250_000.1]),
        (["yes"], ["yes"]),
        ([True, None], [True, None]),
        ([[0.1, 0.9], [0.5, 0.5]], [[0.1, 0.9], [0.5, 0.5000001]]),
        ([{"label": "a", "score": 0.5}], [{"score": 0.5000001, "label": "a"}]),
        (None, ["whatever"]),
    ],
)
def test_these_answers_pass(expected: Any, got: Any) -> None:
    assert problem(expected, got) == ""


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ([1], [0]),
        ([0.3], [0.301]),
        ([0], [2e-6]),
        ([1], ["1"]),
        (["yes"], ["no"]),
        ([1], [True]),
        ([True], [1]),
        ([None], [0]),
        ([1], [1, 1]),
        ([[1, 2]], [[1]]),
        ([[1]], [1]),
        ([{"a": 1}], [{"b": 1}]),
    ],
)
def test_these_answers_fail(expected: Any, got: Any) -> None:
    assert "expected" in problem(expected, got)


def test_a_wider_tolerance_lets_more_pass() -> None:
    assert problem([0.3], [0.301], tolerance=0.01) == ""


def test_a_problem_says_what_was_expected_and_what_came() -> None:
    assert problem([[0.5]], [[0.25]]) == "expected [[0.5]] within 1e-06, got [[0.25]]"
    assert problem(["yes"], ["no"]) == 'expected ["yes"], got ["no"]'


def test_long_answers_are_cut_short() -> None:
    assert len(problem([0] * 10_000, [1] * 10_000)) < 600


def test_an_error_is_quoted() -> None:
    check = Check([[1.0]], None, 1e-6)
    found = judge(check, 400, {"error": {"code": "feature_count", "message": "Row 0 has 1 features"}})
    assert found == "answered 400 feature_count: Row 0 has 1 features"
