"""The objects behind a change, as text, as Markdown and as data. Pure; called by the other views."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from reconciler.model.described import FieldChange
from reconciler.model.resources import JSON
from reconciler.model.text import TerminalText, code, terminal, value_text
from reconciler.targets.protocol import ObjectAction, ObjectChange
from specs.untrusted import visible

SYMBOLS = {
    ObjectAction.CREATE: ("+", "green"),
    ObjectAction.CHANGE: ("~", "yellow"),
    ObjectAction.REPLACE: ("±", "yellow"),
    ObjectAction.DELETE: ("-", "red"),
}
MAX_WIDTH = 60
"""Of the column of fields; a longer name moves only its own value to the right."""


def object_lines(
    objects: Collection[ObjectChange], paint: Callable[[str, str], TerminalText]
) -> Iterator[TerminalText]:
    for each in objects:
        yield terminal("{} {}", paint(*SYMBOLS[each.action]), each.object)
        yield from (terminal("    {}", line) for line in field_lines(each.fields))


def field_lines(fields: Collection[FieldChange]) -> Iterator[TerminalText]:
    names = [visible(change.field) for change in fields]
    width = min(max(map(len, names), default=0), MAX_WIDTH)
    for name, change in zip(names, fields, strict=True):
        yield terminal("{}  {} -> {}", name.ljust(width), value_text(change.old), value_text(change.new))


def object_document(change: ObjectChange) -> JSON:
    return {
        "object": change.object,
        "action": change.action.value,
        "fields": [field_document(f) for f in change.fields],
    }


def field_document(change: FieldChange) -> JSON:
    return {"field": change.field, "old": change.old, "new": change.new}


def object_rows(objects: Collection[ObjectChange]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| object | action | what changes |"
    yield "| --- | --- | --- |"
    for each in objects:
        yield f"| {code(each.object)} | {each.action.value} | {'<br>'.join(map(markdown_field, each.fields))} |"


def markdown_field(change: FieldChange) -> str:
    """One difference, for a cell of a table."""
    old, new = ("none" if value is None else code(value_text(value)) for value in (change.old, change.new))
    return f"{code(change.field)}: {old} → {new}"
