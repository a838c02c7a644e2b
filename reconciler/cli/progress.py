"""Shows what is being done: bars and spinners on a terminal, a line for each step elsewhere.

`live.py` draws a round, and is imported only if there is a terminal to draw on. The stages before a round share one
line, which needs no library.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from reconciler.cli.causes import SeenCauses
from reconciler.cli.console import is_lively, paint_talk, talk, verbosity
from reconciler.model.text import TerminalText, terminal
from specs.untrusted import visible

if TYPE_CHECKING:
    from reconciler.engine.run import Event
    from reconciler.plan.model import Plan

PHASE_STYLES = {"Ready": "green", "Degraded": "yellow", "Failed": "red", "Progressing": "cyan", "Deleting": "dim"}

_CLEAR_LINE = "\r\033[K"
_watched = threading.Event()
"""Set while `doing` has a line of a terminal to write to."""


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """For the stages before a round: on a terminal, one line that shows the current step. Yields `doing`."""
    if not is_lively(sys.stderr):
        yield doing
        return
    _watched.set()
    try:
        yield doing
    finally:
        _watched.clear()
        _draw("")


def doing(text: str) -> None:
    """Shows the current step. May be called from any thread."""
    if _watched.is_set():
        _draw(visible(text)[: shutil.get_terminal_size().columns - 1])


def progress(plan: Plan) -> AbstractContextManager[Callable[[Event], None]]:
    """Shows how a round goes."""
    if is_lively(sys.stderr) and not verbosity():
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


def outcome_line(event: Event, causes: SeenCauses) -> TerminalText:
    """The outcome for one resource, in one line."""
    phase = str(event.phase)
    if phase == "Deleting" and not event.text:
        return paint_talk("gone", "dim")
    painted = paint_talk(phase, PHASE_STYLES.get(phase, "bold"))
    return terminal("{}: {}", painted, causes.message(event.resource, event.text)) if event.text else painted


def _draw(text: str) -> None:
    sys.stderr.write(_CLEAR_LINE + text)
    sys.stderr.flush()


def label(event: Event) -> str:
    name = f"{event.resource.tenant}/{event.resource.name}" if event.resource.name else event.resource.tenant
    return f"{event.resource.kind.value} {name}"
