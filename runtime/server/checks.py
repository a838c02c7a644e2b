"""The checks that a model has to pass before it is ready, sent over the server's own HTTP path.

Every replica runs them at every start, so that none serves without having passed them. CheckFailed says which check
failed, its inputs, and what was expected and received.
"""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Sequence
from typing import Any

from runtime.errors import CheckFailed
from runtime.settings import Check

CHECK_HEADER = "x-kubeserve-check"
_MAX_QUOTE = 200
_MARGIN_SECONDS = 5.0  # beyond the time in which the server itself gives up


def run_checks(checks: Sequence[Check], address: tuple[str, int], token: str, request_seconds: float) -> None:
    """Sends every check in turn, until one fails. `address`: where this process itself listens."""
    for number, check in enumerate(checks, 1):
        status, document = _ask(check, address, token, request_seconds + _MARGIN_SECONDS)
        problem = judge(check, status, document)
        if problem:
            raise CheckFailed(
                "A check failed", f"check {number} of {len(checks)}, inputs {_quote(check.inputs)}: {problem}"
            )


def judge(check: Check, status: int, document: Any) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if status != 200:
        error = document.get("error", {}) if isinstance(document, dict) else {}
        return f"answered {status} {error.get('code', '')}: {error.get('message', '')}"
    got = document["predictions"]
    if check.outputs is None or _equal(check.outputs, got, check.tolerance):
        return ""
    within = f" within {check.tolerance:g}" if _holds_number(check.outputs) else ""
    return f"expected {_quote(check.outputs)}{within}, got {_quote(got)}"


def _ask(check: Check, address: tuple[str, int], token: str, seconds: float) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*address, timeout=seconds)
    headers = {"Content-Type": "application/json", "Connection": "close", CHECK_HEADER: token}
    try:
        connection.request("POST", "/predict", json.dumps({"inputs": check.inputs}), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CheckFailed("A check failed", f"the server did not answer: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _equal(expected: Any, got: Any, tolerance: float) -> bool:
    """Numbers within the tolerance, relative or absolute; lists and objects by element; the rest exactly."""
    if _is_number(expected) and _is_number(got):
        return math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(expected, list) and isinstance(got, list):
        pairs = zip(expected, got, strict=False)
        return len(expected) == len(got) and all(_equal(a, b, tolerance) for a, b in pairs)
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(_equal(expected[k], got[k], tolerance) for k in expected)
    return type(expected) is type(got) and expected == got


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _holds_number(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_number, value))
    return _is_number(value)


def _quote(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_QUOTE else f"{text[:_MAX_QUOTE]}…"
