from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.fetch.errors import AccessDeniedError, FetchError, UnreachableError
from runtime.fetch.retries import Patience


def failing(times: int, error: FetchError) -> Callable[[], str]:
    """Something that raises so many times, then answers."""
    left = [error] * times

    def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    return ask


def test_what_may_succeed_later_is_tried_again() -> None:
    pauses: list[float] = []
    assert Patience(tries=4, pause=pauses.append).call(failing(3, UnreachableError("no answer"))) == "answer"
    assert len(pauses) == 3


def test_the_last_try_is_the_last() -> None:
    pauses: list[float] = []
    with pytest.raises(UnreachableError):
        Patience(tries=3, pause=pauses.append).call(failing(3, UnreachableError("no answer")))
    assert len(pauses) == 2


def test_what_no_try_mends_is_not_tried_again() -> None:
    pauses: list[float] = []
    with pytest.raises(AccessDeniedError):
        Patience(pause=pauses.append).call(failing(1, AccessDeniedError("no")))
    assert pauses == []


def test_pauses_grow_up_to_the_longest_and_are_drawn_anew() -> None:
    pauses: list[float] = []
    patience = Patience(tries=200, base=1, longest=4, pause=pauses.append)
    patience.call(failing(199, UnreachableError("no answer")))
    assert pauses[0] <= 1
    assert pauses[1] <= 2
    assert 3 < max(pauses) <= 4
    assert min(pauses[3:]) < 1
    assert len(set(pauses)) == len(pauses)
