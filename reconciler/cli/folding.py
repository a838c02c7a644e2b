"""Folds long lines, so that a terminal doesn't: it would begin the next row at the left edge, as a line of ours does.

A value of a spec that is as long as the terminal is wide could put there what looks like the next change of a plan.
Pure; called by `console.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from reconciler.model.text import TerminalText

MARK = "↳ "
"""Begins each row that goes on with a line."""
MAX_INDENT = 16
_TOKEN = re.compile(r"\x1b\[\d+m|.", re.DOTALL)


def folded(text: TerminalText, columns: int) -> TerminalText:
    """The same lines in rows of at most `columns` cells; all rows but a line's first are indented and marked."""
    return TerminalText(
        "\n".join(row for line in text.split("\n") for row in _rows(line, max(columns, 2 * MAX_INDENT)))
    )


def _rows(line: str, columns: int) -> Iterator[str]:
    if len(line) * 2 <= columns:  # a character has at most two cells
        yield line
        return
    indent = " " * min(len(line) - len(line.lstrip(" ")) + 2, MAX_INDENT) + MARK
    row, used = "", 0
    for token in _TOKEN.findall(line):
        width = _cells(token)
        if used + width > columns:
            yield row
            row, used = indent, len(indent)
        row, used = row + token, used + width
    yield row


def _cells(token: str) -> int:
    if len(token) > 1 or unicodedata.combining(token):
        return 0
    return 2 if unicodedata.east_asian_width(token) in "WF" else 1
