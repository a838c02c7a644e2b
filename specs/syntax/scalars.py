"""What a plain scalar of YAML means, and what other readers of YAML would take it for.

Values follow the core schema of YAML 1.2: `yes`, `on` and dates are text, as they look. Where a name is meant, text
that YAML 1.1 or 1.2 reads as something else has to be quoted, so that every tool agrees on it.
"""

from __future__ import annotations

import re

MAX_DIGITS = 64  # longer ones are text: reading them is slow, and no number of a spec needs them

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")

_LEGACY_BOOLEANS = frozenset({"yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"})
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:.*)?")
_LEGACY_NUMBER = re.compile(
    r"[-+]?(?:0b[01_]+|0[0-7_]+|0o[0-7]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|[0-9][0-9_]*(?:\.[0-9_]*)?)"
)


def resolve(text: str) -> Scalar:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS or len(text) > MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def taken_for(text: str) -> str | None:
    """What some reader of YAML takes a plain scalar for, in words ("the number 1.1", "a date"); None for text."""
    value = resolve(text)
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number" if str(value) == text else f"the number {value}"
    if value is None:
        return "nothing at all"
    if text in _LEGACY_BOOLEANS:
        return "a boolean"
    if _DATE.fullmatch(text):
        return "a date"
    return "a number" if text[0] in _NUMBER_STARTS and _LEGACY_NUMBER.fullmatch(text) else None


def unquoted(text: str, meaning: str) -> tuple[str, str, str]:
    """Code, summary and detail for a plain scalar where a name was meant."""
    detail = f'YAML takes {text} for {meaning}. Write it in quotes: "{text}".' if text else "Nothing is before the ':'."
    return "unquoted-name", "Name without quotes", detail
