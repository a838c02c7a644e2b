"""How the commands talk: data to stdout, talk to stderr, colours and progress only on a terminal.

NO_COLOR is honoured by click's own rules and here alike; nothing asks without a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reconciler.engine.context import Event
    from specs.problems import Problem

STYLES = {"bold": {"bold": True}, "dim": {"dim": True}}


def paint(text: str, style: str) -> str:
    """Colours for stdout; plain where it isn't a terminal or NO_COLOR is set."""
    return _styled(text, style) if coloured(sys.stdout.isatty()) else text


def paint_talk(text: str, style: str) -> str:
    """Colours for stderr."""
    return _styled(text, style) if coloured(sys.stderr.isatty()) else text


def coloured(terminal: bool) -> bool:
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def talk(text: str = "") -> None:
    click.echo(text, err=True)


def show_problems(problems: Iterable[Problem]) -> None:
    """All problems in file order, then a line that counts them."""
    errors = warnings = 0
    for problem in problems:
        talk(problem.render(paint_talk))
        talk()
        errors += problem.severity == "error"
        warnings += problem.severity == "warning"
    if errors or warnings:
        talk(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}.")


def confirm(question: str, *, yes: bool) -> None:
    """Asks on a terminal; without one, `--yes` has to say it. Aborts on no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nothing can be asked without a terminal. Say --yes to go ahead.")
    click.confirm(question, abort=True, err=True)


@contextmanager
def progress(names: Iterable[str]) -> Iterator[Progress]:
    """Shows how a round goes until the block ends."""
    shown = _LiveProgress() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else Progress()
    with shown:
        yield shown


class Progress:
    """Without a terminal: one line an event that says something new."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, text: str) -> None:
        """A step of the round before its walks begin."""

    def __call__(self, event: Event) -> None:
        line = outcome_line(event) if event.phase else event.text
        if line and event.text != "starting":
            talk(f"{_label(event)}  {line}")


def outcome_line(event: Event) -> str:
    styles = {"Ready": "green", "Degraded": "yellow", "Failed": "red", "Deleting": "dim"}
    if event.phase is None:
        return event.text
    word = "gone" if event.phase == "Deleting" and not event.text else event.phase.value
    return paint_talk(word, styles.get(event.phase.value, "bold")) + (f": {event.text}" if event.text else "")


def _label(event: Event) -> str:
    name = f"{event.id.tenant}/{event.id.name}" if event.id.name else event.id.tenant
    return f"{event.id.kind.value} {name}"
