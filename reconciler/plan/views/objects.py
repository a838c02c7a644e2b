"""The objects behind a change, as text, as Markdown and as data. Pure; called by the other renderers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from reconciler.model.resources import JSON
from reconciler.targets.protocol import FieldChange, ObjectAction, ObjectChange

SYMBOLS = {
    ObjectAction.CREATE: ("+", "green"),
    ObjectAction.CHANGE: ("~", "yellow"),
    ObjectAction.REPLACE: ("±", "yellow"),
    ObjectAction.DELETE: ("-", "red"),
}


def object_lines(objects: Collection[ObjectChange], paint: Callable[[str, str], str]) -> Iterator[str]:
    for one in objects:
        yield f"{paint(*SYMBOLS[one.action])} {one.object}"
        yield from (f"    {line}" for line in field_lines(one.fields))


def field_lines(fields: Collection[FieldChange]) -> Iterator[str]:
    width = max((len(change.field) for change in fields), default=0)
    for change in fields:
        old, new = ("none" if value is None else value for value in (change.old, change.new))
        yield f"{change.field:<{width}}  {old} -> {new}"


def object_document(one: ObjectChange) -> JSON:
    return {"object": one.object, "action": one.action.value, "fields": [field_document(f) for f in one.fields]}


def field_document(change: FieldChange) -> JSON:
    return {"field": change.field, "old": change.old, "new": change.new}


def object_rows(objects: Collection[ObjectChange], escape: Callable[[str], str]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| object | action | what changes |"
    yield "| --- | --- | --- |"
    for one in objects:
        what = "<br>".join(escape(line) for line in map(_said, one.fields))
        yield f"| {escape(one.object)} | {one.action.value} | {what} |"


def _said(change: FieldChange) -> str:
    old, new = ("none" if value is None else value for value in (change.old, change.new))
    return f"{change.field}: {old} → {new}"
