"""Inserts an entry into the text of a spec. Pure; called by `spec_edit.py`, which verifies the result.

Positions come from the parsed document; the rest of the text stays unchanged. Block style, flow style and line
endings are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

_LINE_END = re.compile(r"\r\n|\n|\r|\Z")
_DEFAULT_STEP = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """Nested names, outermost first, and the value of the last one, as YAML on one line."""

    names: Sequence[str]
    value: str

    def after(self, depth: int) -> Entry:
        """The entry without its first names, which exist already."""
        return Entry(self.names[depth:], self.value)

    def flow(self) -> str:
        return ": {".join(map(_key, self.names)) + f": {self.value}" + "}" * (len(self.names) - 1)

    def block(self, column: int, step: int) -> list[str]:
        """One line for each name, the first at `column`."""
        lines = [" " * (column + depth * step) + f"{_key(name)}:" for depth, name in enumerate(self.names)]
        return [*lines[:-1], f"{lines[-1]} {self.value}"]


def insert(text: str, document: int, entry: Entry) -> str:
    """The text with the entry added at the end of the innermost mapping that exists already.

    ValueError if there is no place for it. The caller must parse the result, because aliases and other rarities can
    change its meaning."""
    root = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))[document]
    if not isinstance(root, yaml.MappingNode) or not root.value:
        raise ValueError("the document is no mapping")
    mappings = [root]
    for depth, name in enumerate(entry.names):
        found = next(((key, value) for key, value in mappings[-1].value if key.value == name), None)
        if found is None:
            return _beside(text, mappings, entry.after(depth))
        key, value = found
        if not isinstance(value, yaml.MappingNode):
            return _instead_of_null(text, mappings, key, value, entry.after(depth + 1))
        if not value.value:
            brace = text.index("{", value.start_mark.index) + 1
            return text[:brace] + entry.after(depth + 1).flow() + text[brace:]
        mappings.append(value)
    raise ValueError("the entry is there already")


def _beside(text: str, mappings: Sequence[yaml.MappingNode], entry: Entry) -> str:
    """After an entry of a mapping: `tenant:` at the top of a document, else the last one."""
    entries = mappings[-1].value
    tenant = next((e for e in entries if e[0].value == "tenant"), None) if len(mappings) == 1 else None
    key, value = tenant or entries[-1]
    end = _end(text, value)
    if mappings[-1].flow_style:
        return f"{text[:end]}, {entry.flow()}{text[end:]}"
    return _new_lines(text, end, entry.block(key.start_mark.column, _step(mappings[0])))


def _instead_of_null(
    text: str, mappings: Sequence[yaml.MappingNode], key: yaml.Node, null: yaml.Node, entry: Entry
) -> str:
    start, end = null.start_mark.index, null.end_mark.index
    if start == end and not mappings[-1].flow_style:
        step = _step(mappings[0])
        return _new_lines(text, end, entry.block(key.start_mark.column + step, step))
    space = "" if text[start - 1].isspace() else " "
    return f"{text[:start]}{space}{{{entry.flow()}}}{text[end:]}"


def _step(root: yaml.MappingNode) -> int:
    """Columns by which this document indents, as its first nested mapping shows."""
    for key, value in root.value:
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            step: int = value.value[0][0].start_mark.column - key.start_mark.column
            return step
    return _DEFAULT_STEP


def _end(text: str, node: yaml.Node) -> int:
    """Where the text of a node ends: the end marks of some nodes are after the empty lines and comments that follow."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    start: int = node.start_mark.index
    end: int = node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        written = text[start:end]
        return end if _keeps_empty_lines(written) else start + len(written.rstrip())
    return end


def _keeps_empty_lines(block: str) -> bool:
    """Whether empty lines at the end of a block of text belong to it: then its first line has a plus."""
    return "+" in block.splitlines()[0]


def _new_lines(text: str, end: int, lines: Sequence[str]) -> str:
    """Inserts lines after the line that contains `end`, with the file's own line endings."""
    if text[end - 1] in "\r\n":  # after a block of text, which ends where the next line starts
        newline = _newline(text)
        return text[:end] + "".join(line + newline for line in lines) + text[end:]
    stop = _LINE_END.search(text, end)
    assert stop is not None  # noqa: S101 - the pattern matches the end of the text
    newline = stop[0] or _newline(text)
    return text[: stop.start()] + "".join(newline + line for line in lines) + text[stop.start() :]


def _newline(text: str) -> str:
    """How the first line ends."""
    found = _LINE_END.search(text)
    return found[0] if found and found[0] else "\n"


def _key(name: str) -> str:
    """A name as a key, in quotes where YAML would take it for a number, a boolean or a null."""
    plain = name[0].isalpha() and yaml.safe_load(name) == name
    return name if plain else f'"{name}"'
