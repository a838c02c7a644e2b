"""What goes on at the moment: bars and spinners on a terminal, a line for each step elsewhere.

`live.py` draws a round, and is imported only where there is a terminal to draw on. What comes before a round has one
line, which needs no library to draw it.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from reconciler.cli.console import is_lively, paint_talk, talk, verbosity

if TYPE_CHECKING:
    from reconciler.engine.run import Event
    from reconciler.plan.model import Plan

PHASE_STYLES = {"Ready": "green", "Degraded": "yellow", "Failed": "red", "Progressing": "cyan", "Deleting": "dim"}

_CLEAR_LINE = "\r\033[K"
_watched = threading.Event()
"""While `doing` has a line of a terminal to write to."""


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """For the stages before a round: on a terminal, one line that says what is done. Yields `doing`."""
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
    """What is done now, told from any thread."""
    if _watched.is_set():
        _draw(text[: shutil.get_terminal_size().columns - 1])


def progress(plan: Plan) -> AbstractContextManager[Callable[[Event], None]]:
    """Shows how a round goes."""
    if is_lively(sys.stderr) and not verbosity():
        from reconciler.cli.live import live_round

        return live_round(plan)
    return nullcontext(print_event)


def uploading(name: str, size: int) -> AbstractContextManager[Callable[[int], None]]:
    """Shows how far one upload is; its listener is called with the bytes that went on."""
    if is_lively(sys.stderr):
        from reconciler.cli.live import live_upload

        return live_upload(name, size)
    return nullcontext(lambda sent: None)


def print_event(event: Event) -> None:
    line = outcome_line(event) if event.phase else event.text
    if line:
        talk(f"{label(event)}  {line}")


def outcome_line(event: Event) -> str:
    """How it ended with one resource, in one line."""
    phase = str(event.phase)
    if phase == "Deleting" and not event.text:
        return paint_talk("gone", "dim")
    return paint_talk(phase, PHASE_STYLES.get(phase, "bold")) + (f": {event.text}" if event.text else "")


def _draw(text: str) -> None:
    sys.stderr.write(_CLEAR_LINE + text)
    sys.stderr.flush()


def label(event: Event) -> str:
    name = f"{event.resource.tenant}/{event.resource.name}" if event.resource.name else event.resource.tenant
    return f"{event.resource.kind.value} {name}"
