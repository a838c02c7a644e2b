"""How the commands talk: data to stdout, talk to stderr, colours and progress only on a terminal.

NO_COLOR is honoured by click's own rules and here alike; nothing asks without a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.engine.context import Event
    from reconciler.plan.model import Plan
    from specs.problems import Problem


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
        talk(_coloured_problem(problem.render(), problem.severity))
        talk()
        errors += problem.severity == "error"
        warnings += problem.severity == "warning"
    if errors or warnings:
        talk(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}.")


def confirm(question: str, *, yes: bool) -> None:
    """Asks on a terminal; without one, `--yes` has to say it. Ends the command when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nothing can be asked without a terminal. Say --yes to go ahead.")
    if not click.confirm(question, err=True):
        talk("Nothing was changed.")
        raise click.exceptions.Exit(ExitCode.FAILED)


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """For the stages before the plan: on a terminal, one line that says what is done at the moment."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda text: status.update(text)


def progress(plan: Plan) -> AbstractContextManager[Callable[[Event], None]]:
    """Shows how a round goes: bars and lines on a terminal, else a line for each thing that happens."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from reconciler.cli.live import live_progress

        return live_progress(plan)
    return nullcontext(print_event)


def print_event(event: Event) -> None:
    line = outcome_line(event) if event.phase else event.text
    if line and line != "starting":
        talk(f"{label(event)}  {line}")


def outcome_line(event: Event) -> str:
    """How it ended with one resource, in one line."""
    phase = str(event.phase)
    if phase == "Deleting" and not event.text:
        return paint_talk("gone", "dim")
    style = {"Ready": "green", "Degraded": "yellow", "Failed": "red"}.get(phase, "bold")
    return paint_talk(phase, style) + (f": {event.text}" if event.text else "")


def label(event: Event) -> str:
    name = f"{event.id.tenant}/{event.id.name}" if event.id.name else event.id.tenant
    return f"{event.id.kind.value} {name}"


def _styled(text: str, style: str) -> str:
    if style in ("bold", "dim"):
        return click.style(text, **{style: True})
    return click.style(text, fg=style)


def _coloured_problem(text: str, severity: str) -> str:
    style = "red" if severity == "error" else "yellow"
    return text.replace(f"{severity}:", paint_talk(f"{severity}:", style), 1)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def table(rows: list[tuple[str, ...]], decorate: Callable[[str, int], str]) -> str:
    """Rows of text in columns, the first row being the heading; `decorate(cell, column)` colours a padded cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            (cell if number == 0 else decorate(cell, column)) + " " * (widths[column] - len(cell))
            for column, cell in enumerate(row)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
