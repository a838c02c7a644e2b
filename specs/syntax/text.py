"""The text of one file: decoded, positions in it as places, and its lines as messages show them.

A position is one number, line and column packed together, both from 0: the reader keeps one for every node.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from specs.credentials import HIDDEN, continues_credential, hide_credentials
from specs.problems import Place, Problem, Severity
from specs.untrusted import visible

COLUMN_BITS = 24
_COLUMN_MASK = (1 << COLUMN_BITS) - 1
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # those of YAML
_PLAIN = re.compile(r"(?:&\S+[ \t]+)?([-+.~\w]+)")
_QUOTE = re.compile(r"(?:&\S+[ \t]+)?[\"'|>]")

EXCERPT_WIDTH = 120  # characters; an ellipsis marks each end at which a longer line is cut
_LOOK_AROUND = 2_000  # characters beside an excerpt in which a credential may begin or go on


def pack(line: int, column: int) -> int:
    return (line << COLUMN_BITS) | column


@dataclass(frozen=True)
class SpecText:
    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return _LINE_BREAK.split(self.text)

    def place(self, position: int) -> Place:
        return Place(self.path, (position >> COLUMN_BITS) + 1, (position & _COLUMN_MASK) + 1)

    def problem(
        self, position: int, code: str, summary: str, detail: str, severity: Severity = Severity.ERROR
    ) -> Problem:
        """A problem at a position, with its line as excerpt."""
        excerpt, caret = self._excerpt(position >> COLUMN_BITS, position & _COLUMN_MASK)
        return Problem(severity, code, self.place(position), summary, detail, excerpt, caret)

    def plain_scalar(self, position: int) -> str:
        """A number, boolean or null as it is written there; "" when something else is."""
        match = _PLAIN.match(self._line(position >> COLUMN_BITS), position & _COLUMN_MASK)
        return match[1] if match else ""

    def is_quoted(self, position: int) -> bool:
        """Whether a quoted or block scalar is written there."""
        return _QUOTE.match(self._line(position >> COLUMN_BITS), position & _COLUMN_MASK) is not None

    def _line(self, line: int) -> str:
        return self.lines[line] if line < len(self.lines) else ""

    def _excerpt(self, line: int, column: int) -> tuple[str, int]:
        full = self._line(line)
        if line < len(self.lines) and continues_credential(self.lines, line):
            return HIDDEN, 0
        start = max(0, column - EXCERPT_WIDTH // 2) if len(full) > EXCERPT_WIDTH else 0
        before = max(0, start - _LOOK_AROUND)
        shown = hide_credentials(full[before : start + EXCERPT_WIDTH + _LOOK_AROUND])
        rest = shown[start - before :]
        clipped = rest[:EXCERPT_WIDTH] or (HIDDEN if shown.endswith(HIDDEN) else "")
        shown_line = clipped.replace("\t", " ")
        left = "… " if start else ""
        right = " …" if len(rest.rstrip()) > EXCERPT_WIDTH else ""
        caret = len(left) + len(visible(shown_line[: column - start]))
        return left + visible(shown_line).rstrip() + right, caret
