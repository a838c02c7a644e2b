"""Waiting for what comes true by itself: the one place where tests look again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 90.0
LONGEST_PAUSE_SECONDS = 0.2


def eventually(
    ask: Callable[[], Answer | Literal[False] | None], what: str = "", seconds: float = PATIENCE_SECONDS
) -> Answer:
    """The first true answer; fails with `what` when it takes longer. The pauses between two questions grow."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"never came true: {what or ask}"
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE_SECONDS)
    return answer
