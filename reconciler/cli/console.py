"""How the commands talk: data to stdout, talk to stderr, colours only on a terminal and never where NO_COLOR is set."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import IO, TYPE_CHECKING, Any

import click

from reconciler.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from specs.problems import Problem


@dataclass(slots=True)
class Verbosity:
    """How often -v was given, before and behind the command's name."""

    level: int = 0


def verbosity() -> int:
    """Of the command that runs."""
    ctx = click.get_current_context(silent=True)
    return ctx.obj.level if ctx is not None and isinstance(ctx.obj, Verbosity) else 0


def paint(text: str, style: str) -> str:
    """Colours for stdout; plain where it isn't a terminal. The styles: names of colours, "bold" and "dim"."""
    return _styled(text, style) if coloured(sys.stdout) else text


def paint_talk(text: str, style: str) -> str:
    """Colours for stderr."""
    return _styled(text, style) if coloured(sys.stderr) else text


def coloured(stream: IO[Any]) -> bool:
    return is_lively(stream) and not os.environ.get("NO_COLOR")


def is_lively(stream: IO[Any]) -> bool:
    """Whether it is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def talk(text: str = "") -> None:
    click.echo(text, err=True)


def print_json(document: Any) -> None:
    """In UTF-8, whatever the terminal's own characters are."""
    import orjson

    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def show_error(summary: str, detail: str = "") -> None:
    talk(f"{paint_talk('error:', 'red')} {summary}")
    if detail:
        talk(indent(detail, "  "))


def show_problems(problems: Iterable[Problem]) -> None:
    """All problems in file order, then a line that counts them."""
    errors = warnings = 0
    for problem in problems:
        talk(_coloured_problem(problem.render(), problem.severity))
        talk()
        errors += problem.severity == "error"
        warnings += problem.severity == "warning"
    if errors or warnings:
        talk(f"{count(errors, 'error')}, {count(warnings, 'warning')}.")


def confirm(question: str, *, yes: bool) -> None:
    """Asks on a terminal; without one, `--yes` has to say it. Ends the command when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nothing can be asked without a terminal. Say --yes to go ahead.")
    if not _is_yes(question):
        talk("Nothing was changed.")
        raise click.exceptions.Exit(ExitCode.FAILED)


def _is_yes(question: str) -> bool:
    """Not by input(), which swallows a Ctrl-C that comes while it flushes its prompt."""
    while True:
        click.echo(f"{question} [y/N]: ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:  # Ctrl-D
            raise click.Abort
        answer = line.strip().lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("", "n", "no"):
            return False


def count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def table(rows: Sequence[tuple[str, ...]], decorate: Callable[[str, int], str]) -> str:
    """Rows of text in columns, the first row being the heading; `decorate(cell, column)` colours a cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            (cell if number == 0 else decorate(cell, column)) + " " * (widths[column] - len(cell))
            for column, cell in enumerate(row)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _styled(text: str, style: str) -> str:
    if style in ("bold", "dim"):
        return click.style(text, **{style: True})
    return click.style(text, fg=style)


def _coloured_problem(text: str, severity: str) -> str:
    style = "red" if severity == "error" else "yellow"
    return text.replace(f"{severity}:", paint_talk(f"{severity}:", style), 1)
