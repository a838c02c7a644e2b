"""Repeats requests that may succeed later, after random pauses that grow. `transfer.py` makes each request through
it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from runtime.fetch.errors import FetchError

Answer = TypeVar("Answer")
_log = logging.getLogger("runtime")


@dataclass(frozen=True, slots=True)
class Patience:
    """`tries` of one request, the first included; before the n-th retry a pause of up to `base` * 2^(n-1) seconds, at
    most `longest`. The pause is drawn anew each time, so that pods which failed together don't return together."""

    tries: int = 6
    base: float = 0.5
    longest: float = 8.0
    pause: Callable[[float], None] = time.sleep

    def call(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` returns. Raises its FetchError if no further try helps, or after the last try."""
        for failures in count(1):
            try:
                return ask()
            except FetchError as error:
                if not error.retryable or failures >= self.tries:
                    raise
                _log.warning("Trying again (%d of %d): %s", failures, self.tries - 1, error)
            self.pause(random.uniform(0, min(self.longest, self.base * 2 ** (failures - 1))))  # noqa: S311
        raise AssertionError("unreachable")


PATIENT = Patience()
