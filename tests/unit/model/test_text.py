"""What a model says reaches a terminal as text, and as nothing that a terminal obeys."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.resources import deployment_id
from reconciler.model.text import printable
from reconciler.targets.protocol import Readiness, ReadinessState
from tests.support.graphs import graph
from tests.support.memory_target import MemoryTarget
from tests.support.rounds import Sandbox


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with ümlauts and 漢字\tand\nlines", "plain, with ümlauts and 漢字\tand\nlines"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H\x1b[?1049hgone", "gone"),
        ("\x1b]0;a title\x07text", "text"),
        ("one\rtwo\x08\x07\x1b", "one two   "),
        ("right\u202eleft", "right left"),
    ],
)
def test_control_sequences_are_taken_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(max_codepoint=0x2100)))
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    assert not set(printable(text)) & {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))}


def test_a_failure_quotes_a_model_in_printable_words(tmp_path: Path) -> None:
    said = Readiness(ReadinessState.FAILED, "\x1b[2Jno weights\r", ("\x1b[31mERROR\x1b[0m",))
    world = Sandbox(tmp_path, MemoryTarget(lambda _: said))
    world.apply(graph({"fraud/churn": "v1"}))
    record = world.state.resources[deployment_id("fraud", "churn")]
    assert record.message == "version v1: no weights "
    assert record.log == ("ERROR",)
