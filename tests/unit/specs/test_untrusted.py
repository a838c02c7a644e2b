"""Foreign text inside of a message is one line of visible characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.untrusted import Untrusted, cut, visible


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=30))
def test_foreign_text_in_a_message_is_one_visible_line(text: str) -> None:
    message = f"git: {Untrusted(text)}"
    assert message.isprintable()
    assert visible(message) == message


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain, with ümlauts and 漢字", "plain, with ümlauts and 漢字"),
        ("\x1b]0;TITLE\x07", r"\x1b]0;TITLE\x07"),
        ("a\r\n\tb\x85\u2028", r"a\r\n\tb\x85\u2028"),
        ("\x9b31m\u202e\u2066\u200b\ufeff", r"\x9b31m\u202e\u2066\u200b\ufeff"),
        ("blank \u2800\u3164\ufe0f\U000e0041", r"blank \u2800\u3164\ufe0f\U000e0041"),
        ("\udcff", r"\udcff"),
        ("##[error]x ##vso[a]y, ## heading", r"\x23#[error]x \x23#vso[a]y, ## heading"),
    ],
)
def test_what_can_not_be_seen_is_shown_as_an_escape(raw: str, shown: str) -> None:
    assert str(Untrusted(raw)) == shown
    assert Untrusted(raw).raw == raw


def test_what_is_cut_says_how_much_is_missing() -> None:
    assert cut("x" * 1504, 300) == "x" * 300 + "… (1,204 more characters)"
    assert str(Untrusted("x" * 301).cut(300)).endswith("x… (1 more character)")
    assert cut("x" * 300, 300) == "x" * 300


def test_foreign_text_is_no_str_that_a_view_takes() -> None:
    assert not isinstance(Untrusted("x"), str)
    assert (bool(Untrusted("")), bool(Untrusted("x"))) == (False, True)
    assert Untrusted("a") == Untrusted("a")
