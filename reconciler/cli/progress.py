"""Shows what is being done: bars and spinners on a terminal, a line for each step elsewhere.

`live.py` draws a round, and is imported only if there is a terminal to draw on. The stages before a round share one
line, which needs no library.
"""

from __future__ import annotations

import gc
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from reconciler.cli.causes import SeenCauses
from reconciler.cli.console import is_lively, talk, verbosity
from reconciler.cli.events import label, outcome_line
from reconciler.model.text import terminal
from specs.untrusted import visible

if TYPE_CHECKING:
    from reconciler.engine.run import Event
    from reconciler.plan.model import Plan

_CLEAR_LINE = "\r\033[K"
_watched = threading.Event()
"""Set while `doing` has a line of a terminal to write to."""


@contextmanager
def working() -> Iterator[None]:
    """For the stages before a round: on a terminal, `doing` writes one line that says what is being done.

    The garbage collector is paused: what these stages read and compare stays until the command ends, so that looking
    through it while it grows would find nothing, and takes 40% of the time of 10,000 deployments.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        if is_lively(sys.stderr) and not verbosity():
            _watched.set()
        yield
    finally:
        if _watched.is_set():
            _watched.clear()
            _draw("")
        if was_enabled:
            gc.enable()


@contextmanager
def planning() -> Iterator[None]:
    """The same for a plan, which stays until the command ends: the collector never looks through it."""
    with working():
        yield
    gc.freeze()


def doing(text: str) -> None:
    """Shows the current step. May be called from any thread."""
    if _watched.is_set():
        _draw(visible(text)[: shutil.get_terminal_size().columns - 1])


def progress(plan: Plan) -> AbstractContextManager[Callable[[Event], None]]:
    """Shows the progress of a round; with -v the log does that."""
    if verbosity():
        return nullcontext(lambda event: None)
    if is_lively(sys.stderr):
        from reconciler.cli.live import live_round

        return live_round(plan)
    return nullcontext(EventPrinter())


def uploading(name: str, size: int) -> AbstractContextManager[Callable[[int], None]]:
    """Shows the progress of one upload. The listener takes the number of bytes that were sent since the last call."""
    if is_lively(sys.stderr):
        from reconciler.cli.live import live_upload

        return live_upload(name, size)
    return nullcontext(lambda sent: None)


class EventPrinter:
    """Prints a line for each event of a round."""

    def __init__(self) -> None:
        self._causes = SeenCauses()

    def __call__(self, event: Event) -> None:
        if event.phase:
            talk(terminal("{}  {}", label(event), outcome_line(event, self._causes)))
        elif event.text:
            talk(terminal("{}  {}", label(event), event.text))


def _draw(text: str) -> None:
    sys.stderr.write(_CLEAR_LINE + text)
    sys.stderr.flush()
