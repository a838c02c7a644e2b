"""`kubeserve logs --failed` of what left nothing behind but its record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.resources import deployment_id
from reconciler.state.model import Phase, Record, State, to_bytes

Call = Callable[..., Any]


@pytest.fixture
def record(folder: Path) -> Callable[..., None]:
    """Writes a state file in which demo/d has failed, with this log."""

    def write(*log: str) -> None:
        failed = Record(Phase.DEGRADED, reason="NotReady", log=log)
        state = State("lineage", 1, "default", "local", {deployment_id("demo", "d"): failed})
        (folder / ".kubeserve").mkdir()
        (folder / ".kubeserve/state.json").write_bytes(to_bytes(state))

    return write


def test_what_failed_and_is_gone_has_its_last_lines_in_the_state_file(call: Call, record: Callable[..., None]) -> None:
    record("loading", "the weights are missing")
    shown = call("logs", "d", "--failed")
    assert (shown.code, shown.out) == (0, "loading\nthe weights are missing\n")
    assert shown.err == "No failure is kept. These are the last lines in the state file:\n"


@pytest.mark.parametrize(("lines", "out"), [("0", ""), ("1", "b\n"), ("9", "a\nb\n")])
def test_no_more_of_them_are_shown_than_asked_for(
    call: Call, record: Callable[..., None], lines: str, out: str
) -> None:
    record("a", "b")
    assert call("logs", "demo/d", "--failed", "--lines", lines).out == out


def test_what_failed_without_a_word_has_no_log(call: Call, record: Callable[..., None]) -> None:
    record()
    shown = call("logs", "d", "--failed")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("error: No failure is kept\n")
