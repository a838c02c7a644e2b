"""Text of others, a model's last words or a line of its log, made harmless for a terminal. Pure."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, moves of the cursor, erasing (ECMA-48 control sequences)
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Without control sequences; other control characters, but tabs and newlines, are spaces."""
    return _UNPRINTABLE.sub(" ", _CONTROL.sub("", text))
