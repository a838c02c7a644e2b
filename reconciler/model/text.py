"""How the views show text: a terminal, Markdown, JSON and YAML, one function each. Pure.

Every `str` counts as foreign here, whoever wrote it. Only what these functions return is shown: the console prints
nothing but `TerminalText`, which mypy can't confuse with a `str`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from specs.untrusted import is_visible, visible, visible_line

_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_COMMAND_ANYWHERE = re.compile(r"#(?=#(?:[a-z]+)?\[)")
_AMBIGUOUS = re.compile(r'^"|->|→|^\s|\s$|\s\s')
_BACKTICKS = re.compile(r"`+")
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_RESET = "\x1b[0m"
_PLAIN_ASCII = bytes((*b"\n\t", *range(0x20, 0x7F)))
_NO_FOLD = 2**31 - 1


class TerminalText(str):
    """What a terminal, or a CI system's log, may be sent. Made by the functions below only."""

    __slots__ = ()


def terminal(template: str, *values: object) -> TerminalText:
    """The template, our own words, with each `{}` replaced by a value made visible on one line."""
    return TerminalText(template.format(*[v if isinstance(v, TerminalText) else visible(str(v)) for v in values]))


def terminal_line(text: str) -> TerminalText:
    """Text made visible, on one line."""
    return TerminalText(visible(text))


def terminal_joined(*parts: TerminalText) -> TerminalText:
    return TerminalText("".join(parts))


def terminal_block(text: str, indent: str = "  ") -> TerminalText:
    """Text of several lines, such as the detail of an error, each behind `indent`."""
    return TerminalText("\n".join(f"{indent}{visible(line)}" for line in text.split("\n")))


def terminal_lines(lines: Iterable[TerminalText]) -> TerminalText:
    return TerminalText("\n".join(lines))


def log_line(line: str) -> TerminalText:
    """A line that a model server wrote, without its colours."""
    return TerminalText(visible_line(line))


def no_commands(text: TerminalText) -> TerminalText:
    """The same, with an escape where a line would begin with `::`, which makes it a command to GitHub's runner."""
    return TerminalText(_COMMAND.sub(r"\1\\x3a", text)) if "::" in text else text


def styled(text: str, style: str) -> TerminalText:
    """In a colour, "bold" or "dim"."""
    shown = text if isinstance(text, TerminalText) else visible(text)
    return TerminalText(f"\x1b[{_STYLES[style]}m{shown}{_RESET}")


def value_text(value: str | None) -> str:
    """A value inside a line of ours. In quotes, as JSON writes it, where it could be taken for anything else."""
    if value is None:
        return "none"
    if is_visible(value) and value and not _AMBIGUOUS.search(value):
        return value
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{visible(quoted)}"'


def code(text: str) -> str:
    """A code span of Markdown, in which no mention, link, image, heading or HTML is recognized, also in a table."""
    shown = visible(text).replace("|", "\\x7c")  # GFM splits a table's cells before it looks for code
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    space = " " if shown[:1] in ("`", " ") or shown[-1:] in ("`", " ") else ""
    return f"{fence}{space}{shown or ' '}{space}{fence}"


def code_block(text: str) -> str:
    """A fenced block of Markdown that nothing inside can end. Line breaks of `text` are kept."""
    lines = [visible_line(line) for line in text.split("\n")]
    fence = "`" * max(3, 1 + max((len(run) for line in lines for run in _BACKTICKS.findall(line)), default=0))
    return "\n".join((f"{fence}text", *lines, fence))


def json_text(document: Any, *, indent: bool = True, sort: bool = False) -> str:
    """JSON with the same data, in which what a view must not show raw is written as escapes.

    Half a surrogate pair, which UTF-8 can't hold, becomes the six characters of its escape: `\\udcff`.
    """
    import orjson

    option = (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if sort else 0)
    try:
        content = orjson.dumps(document, option=option)
    except orjson.JSONEncodeError:
        content = orjson.dumps(_encodable(document), option=option)
    return _json_visible(content)


def json_visible(text: str) -> str:
    """Valid JSON, whoever wrote it, with the same data and nothing in it that a terminal or a CI system obeys."""
    return _json_visible(text.encode())


def _json_visible(content: bytes) -> str:
    text = content.decode()
    if content.translate(None, _PLAIN_ASCII):  # nearly always nothing is left, so a large plan is looked through once
        text = text.replace("\r\n", "\n").replace("\r", "\n")  # between values; strings can't hold it raw
        unsafe = {c for c in set(text) if not (c in "\n\t" or is_visible(c))}
        text = text.translate({ord(c): _json_escape(c) for c in unsafe})
    return _COMMAND_ANYWHERE.sub(r"\\u0023", text) if "##" in text else text


def yaml_text(documents: Iterable[Any]) -> str:
    """YAML documents with the same data, in which what a view must not show raw is written as escapes."""
    import yaml

    class Dumper(yaml.CSafeDumper):
        def ignore_aliases(self, _: Any) -> bool:
            return True

    def scalar(dumper: Dumper, text: str) -> yaml.ScalarNode:
        plain = is_visible(text) and not text.startswith("::")
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')

    Dumper.add_representer(str, scalar)
    written = yaml.dump_all(
        map(_encodable, documents),
        Dumper=Dumper,
        sort_keys=False,
        explicit_start=True,
        allow_unicode=True,
        width=_NO_FOLD,
    )
    # Only strings in double quotes have such characters, which the same escapes as in JSON stand for.
    unsafe = {c for c in set(written) if not (c == "\n" or is_visible(c))}
    return _COMMAND_ANYWHERE.sub(r"\\x23", written.translate({ord(c): visible(c) for c in unsafe}))


def _encodable(document: Any) -> Any:
    """The same data, with escapes for what UTF-8 can't hold."""
    if isinstance(document, str):
        return document.encode(errors="backslashreplace").decode()
    if isinstance(document, Mapping):
        return {_encodable(key): _encodable(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_encodable(item) for item in document]
    return document


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
