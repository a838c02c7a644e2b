"""How the commands talk: data to stdout, talk to stderr, colours only on a terminal and never where NO_COLOR is set.

The only module that prints. It takes `TerminalText`, which only the functions of `model/text.py` make, so text that
others wrote reaches no terminal and no log of a CI system as anything but text.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import click

from reconciler.cli.folding import folded
from reconciler.model.text import (
    TerminalText,
    json_text,
    no_commands,
    styled,
    terminal,
    terminal_block,
    terminal_lines,
    yaml_text,
)
from specs.untrusted import visible

if TYPE_CHECKING:
    from specs.problems import Problem


_EMPTY_LINE = TerminalText()


@dataclass(slots=True)
class Verbosity:
    """How often -v was given, before and behind the command's name."""

    level: int = 0


def verbosity() -> int:
    """Of the command that runs."""
    ctx = click.get_current_context(silent=True)
    return ctx.obj.level if ctx is not None and isinstance(ctx.obj, Verbosity) else 0


def paint(text: str, style: str) -> TerminalText:
    """Text for stdout, coloured where that is a terminal. The styles: names of colours, "bold" and "dim"."""
    return styled(text, style) if coloured(sys.stdout) else terminal("{}", text)


def paint_talk(text: str, style: str) -> TerminalText:
    """Text for stderr, coloured where that is a terminal."""
    return styled(text, style) if coloured(sys.stderr) else terminal("{}", text)


def coloured(stream: IO[Any]) -> bool:
    return is_lively(stream) and not os.environ.get("NO_COLOR")


def is_lively(stream: IO[Any]) -> bool:
    """Whether it is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def talk(text: TerminalText = _EMPTY_LINE) -> None:
    """A line, or several, to stderr."""
    click.echo(no_commands(text), err=True)


def print_text(text: TerminalText = _EMPTY_LINE) -> None:
    """A line, or several, to stdout."""
    click.echo(no_commands(text))


def print_json(document: Any) -> None:
    print_data(json_text(document))


def print_yaml(documents: Iterable[Any]) -> None:
    print_data(yaml_text(documents))


def print_data(text: str) -> None:
    """What `json_text`, `yaml_text` or the Markdown view made, in UTF-8 whatever the terminal's own encoding is."""
    click.echo(no_commands(TerminalText(text)).encode(), nl=not text.endswith("\n"))


def fold_on(stream: IO[Any], text: TerminalText) -> TerminalText:
    """Lines that are too long for a terminal, folded so that no row but a line's first looks like one."""
    return folded(text, shutil.get_terminal_size().columns) if is_lively(stream) else text


def show_error(summary: str, detail: str = "") -> None:
    text = terminal("{} {}", paint_talk("error:", "red"), summary)
    talk(fold_on(sys.stderr, terminal_lines((text, terminal_block(detail))) if detail else text))


def show_problems(problems: Iterable[Problem]) -> None:
    """All problems in file order, then a line that counts them."""
    errors = warnings = 0
    for problem in problems:
        paint_severity = partial(paint_talk, style="red" if problem.severity == "error" else "yellow")
        talk(fold_on(sys.stderr, TerminalText(problem.render(paint_severity))))
        talk()
        errors += problem.severity == "error"
        warnings += problem.severity == "warning"
    if errors or warnings:
        talk(terminal("{}, {}.", count(errors, "error"), count(warnings, "warning")))


def confirm(question: str, *, yes: bool) -> bool:
    """Asks on a terminal; without one, `--yes` is required: UsageError."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("Confirmation needs a terminal; pass --yes.")
    while True:  # not by input(), which swallows a Ctrl-C that comes while it flushes its prompt
        click.echo(terminal("{} [y/N]: ", question), nl=False, err=True)
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


def table(rows: Sequence[tuple[str, ...]], painted: Mapping[int, Callable[[str], TerminalText]]) -> TerminalText:
    """Rows of text in columns, the first row being the heading. `painted`: column -> what colours its cells."""
    shown = [tuple(map(visible, row)) for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    lines = []
    for number, row in enumerate(shown):
        cells = [
            (painted[column](cell) if number and column in painted else cell) + " " * (widths[column] - len(cell))
            for column, cell in enumerate(row)
        ]
        lines.append(TerminalText("  ".join(cells).rstrip()))
    return terminal_lines(lines)
