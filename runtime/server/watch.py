"""Finds calls of the model that exceed their time limit, and ends a server whose model hangs. Asked by `host.py` at
every tick.

After the limit the server is not ready, but goes on answering with its other threads, and is ready again if the call
ends after all. After twice the limit it takes no requests; it ends when the others in flight are answered, after three
times the limit at the latest. A model that never gives the interpreter back stops this code as well: then
faulthandler's watchdog, which needs no interpreter, ends the process.
"""

from __future__ import annotations

import faulthandler
from time import monotonic

from runtime.crashes import frames_of, place
from runtime.errors import ModelHung
from runtime.server.inference import Calls
from runtime.server.lifecycle import Lifecycle

FREEZE_MARGIN_SECONDS = 5.0
_REARM_SECONDS = 1.0


class Watch:
    """`seconds`: the time limit of a call. `dump`: the file into which the watchdog writes where it found the
    threads."""

    def __init__(self, lifecycle: Lifecycle, calls: Calls, seconds: float, dump: int) -> None:
        self._lifecycle = lifecycle
        self._calls = calls
        self._seconds = seconds
        self._dump = dump
        self._rearm_at = 0.0

    def look(self) -> None:
        now, limit, lifecycle = monotonic(), self._seconds, self._lifecycle
        self._rearm(now)
        longest = self._calls.longest()
        age = now - longest.started if longest else 0.0
        if longest is None or age <= limit:
            lifecycle.overdue, lifecycle.hung = "", False
            return
        where = place(frames_of(longest.thread))
        lifecycle.overdue = f"A call of the model has run for {age:.1f} s, more than the limit of {limit:g} s{where}."
        lifecycle.hung = age > 2 * limit
        if lifecycle.hung and (age > 3 * limit or not self._calls.any_since(now - limit)):
            lifecycle.fail(ModelHung("The model hangs", lifecycle.overdue))

    def _rearm(self, now: float) -> None:
        if self._lifecycle.is_loaded and now >= self._rearm_at:
            self._rearm_at = now + _REARM_SECONDS
            faulthandler.dump_traceback_later(2 * self._seconds + FREEZE_MARGIN_SECONDS, file=self._dump, exit=True)
