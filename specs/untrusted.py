"""Text that we did not write: values and paths of specs, names from Git, messages of servers, words of a model.

Wrap such text in `Untrusted` where it enters. In an f-string it becomes one line of visible characters, so no message
that is built from it can clear a screen, start a line or reverse the reading order. Pure; imports nothing of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_INVISIBLE = re.compile(
    # Printable for Python, yet without a glyph: Unicode's Default_Ignorable_Code_Point and the blank of Braille.
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
    # Commands to a CI system that may be anywhere in a line: ##[error], ##vso[task…], ##teamcity[…].
    r"|#(?=#(?:[a-z]+)?\[)"
)
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, moves of the cursor, erasing (ECMA-48 control sequences)
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True, order=True)
class Untrusted:
    """Foreign text. `str()` and f-strings show it; `raw` is for comparing, storing and sending it, never for a view."""

    raw: str

    def __str__(self) -> str:
        return visible(self.raw)

    def __format__(self, spec: str) -> str:
        return format(visible(self.raw), spec)

    def __bool__(self) -> bool:
        return bool(self.raw)

    def cut(self, limit: int) -> Untrusted:
        """At most `limit` characters, and how many are missing."""
        return Untrusted(cut(self.raw, limit))


def visible(text: str) -> str:
    """One line: control characters, line breaks, marks of direction and what has no glyph as escapes, `\\x1b`, `\\n`.

    Leaves what it has returned as it is. Commands to CI systems that need no line of their own are escaped too.
    """
    if text.isascii() and text.isprintable() and "##" not in text:
        return text
    return _INVISIBLE.sub(_escape, "".join(c if c.isprintable() else _escaped(c) for c in text))


def visible_line(line: str) -> str:
    """A line of a log: like `visible`, but without its colours and other control sequences, and with its tabs."""
    return "\t".join(map(visible, without_sequences(line).split("\t")))


def without_sequences(text: str) -> str:
    """Without colours, titles, links and moves of the cursor; other control characters stay."""
    return _SEQUENCE.sub("", text)


def is_visible(text: str) -> bool:
    """Whether a view may show the text as it is."""
    return visible(text) == text


def cut(text: str, limit: int) -> str:
    """`text`, or its first `limit` characters and how many more there are: `abc… (1,204 more characters)`."""
    if len(text) <= limit:
        return text
    missing = len(text) - limit
    return f"{text[:limit]}… ({missing:,} more character{'' if missing == 1 else 's'})"


def _escape(match: re.Match[str]) -> str:
    return _escaped(match[0])


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
