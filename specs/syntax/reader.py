"""Bytes of a YAML file in, documents of plain data and problems out. The one place that reads YAML.

Events of libyaml are taken one by one instead of composing nodes: limits hold while reading (`yaml.compose` of a
hundred thousand '[' overflows the C stack and kills the process), and 5 MB take a fraction of the time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from specs.problems import Problem
from specs.syntax.builder import Builder, Stop
from specs.syntax.documents import Document
from specs.syntax.text import SpecText, pack

MAX_FILE_BYTES = 10 * 2**20

_NOT_YAML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")

# What libyaml says, and what it means to who wrote the file.
_MEANINGS = {
    "mapping values are not allowed in this context": "A ':' can't stand here. Text with ': ' in it needs quotes; "
    "or the indentation of this line or the one above is wrong.",
    "could not find expected ':'": "A name without its ':'. Write 'name: value', and check the indentation.",
    "did not find expected key": "This line doesn't fit the ones above it. Names of one level start at one column.",
    "did not find expected '-' indicator": "This line doesn't fit the list above. Items start with '- ' at one column.",
    "did not find expected ',' or '}'": "A '{' above is not closed, or a ',' is missing.",
    "did not find expected ',' or ']'": "A '[' above is not closed, or a ',' is missing.",
    "found unexpected end of stream": "The file ends inside of a quoted text: a closing quote is missing.",
    "did not find expected <document start>": "More text follows where the document had ended already. "
    "Check the indentation.",
    "found character that cannot start any token": "Text that starts with this character needs quotes.",
    "found undefined tag handle": "Text that starts with '!' needs quotes.",
    "found unknown escape character": "In double quotes a backslash starts an escape. Use single quotes, or '\\\\'.",
}


@dataclass(frozen=True, slots=True)
class Reading:
    text: SpecText
    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    complete: bool  # False: reading stopped, and what follows in the file is unknown


def read_yaml(path: str, content: bytes) -> Reading:
    """All documents of a file, as far as they can be read. Raises nothing, whatever the bytes."""
    try:
        text = _decode(path, content)
    except Stop as stop:
        return Reading(SpecText(path, content[:MAX_FILE_BYTES].decode("utf-8", "replace")), (), (stop.problem,), False)
    builder = Builder(text)
    try:
        builder.run()
    except Stop as stop:
        return Reading(text, tuple(builder.documents), (*builder.problems, stop.problem), False)
    except yaml.YAMLError as error:
        problem = _syntax_problem(text, error)
        return Reading(text, tuple(builder.documents), (*builder.problems, problem), False)
    return Reading(text, tuple(builder.documents), tuple(builder.problems), True)


def _decode(path: str, content: bytes) -> SpecText:
    if len(content) > MAX_FILE_BYTES:
        size = f"{len(content) / 2**20:.1f} MiB"
        raise Stop(
            SpecText(path, "").problem(
                0,
                "too-large",
                "File is too large",
                f"A spec has at most {MAX_FILE_BYTES >> 20} MiB; this one has {size}. Split it: several files may "
                "define one tenant.",
            )
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = (
            "The file looks like UTF-16."
            if content.startswith(_WIDE_MARKS)
            else f"The byte 0x{content[error.start]:02x} is not UTF-8."
        )
        before = content[: error.start].decode("utf-8-sig", "replace")
        raise _bad_text(path, before, before, "not-utf-8", "Not UTF-8", f"{what} Save it as UTF-8.") from None
    if bad := _NOT_YAML.search(text):
        detail = f"U+{ord(bad[0]):04X} can't stand in YAML. Remove it, or write it as an escape in double quotes."
        before = text[: bad.start()]
        raise _bad_text(path, before, text, "control-character", "Character that YAML doesn't allow", detail)
    return SpecText(path, text)


def _bad_text(path: str, before: str, text: str, code: str, summary: str, detail: str) -> Stop:
    lines = SpecText(path, before).lines
    return Stop(SpecText(path, text).problem(pack(len(lines) - 1, len(lines[-1])), code, summary, detail))


def _syntax_problem(text: SpecText, error: yaml.YAMLError) -> Problem:
    mark: Any = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or "it can't be read")
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if said == "found character that cannot start any token" and _is_tab(text, line, column):
        return text.problem(
            pack(line, column), "tab", "Tab used for indentation", "YAML indents with spaces only. Replace the tab."
        )
    if line >= len(text.lines) or (line == len(text.lines) - 1 and not text.lines[line]):  # after the last line
        line = max(0, len(text.lines) - 2)
        column = len(text.lines[line])
    detail = _MEANINGS.get(said, f"The parser says: {said}.")
    return text.problem(pack(line, column), "syntax", "Not valid YAML", detail + _opened_at(error, line))


def _is_tab(text: SpecText, line: int, column: int) -> bool:
    return line < len(text.lines) and "\t" in text.lines[line][: column + 1]


def _opened_at(error: yaml.YAMLError, line: int) -> str:
    """Where the thing began that libyaml was reading, when that's on another line."""
    mark: Any = getattr(error, "context_mark", None)
    context = getattr(error, "context", None)
    return f" ({context} that begins at line {mark.line + 1})" if mark and context and mark.line != line else ""
