"""Lists the fields that are valid where an unknown field was found, read from the models, for suggestions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from specs.syntax.documents import Key


def known_fields(model: type[BaseModel], keys: Sequence[Key], unknown: str) -> list[str]:
    """The YAML names of the fields that a `model` has under `keys`, leaving out alternatives that have `unknown`."""
    annotations: list[Any] = [model]
    for key in keys:
        annotations = [inner for annotation in annotations for inner in _inside(annotation, key)]
    models = [member for annotation in annotations for member in _members(annotation)]
    names = [name for each in models if unknown not in (fields := _fields(each)) for name in fields]
    return list(dict.fromkeys(names))


def _inside(annotation: Any, key: Key) -> Iterator[Any]:
    for member in _members(annotation):
        if fields := _fields(member):
            if key in fields:
                yield fields[str(key)]
        elif get_origin(member) is dict:
            yield get_args(member)[1]
        elif get_origin(member) is tuple:
            yield get_args(member)[0]


def _members(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _fields(member: Any) -> dict[str, Any]:
    if isinstance(member, type) and issubclass(member, BaseModel):
        return {str(field.validation_alias): field.annotation for field in member.model_fields.values()}
    return {}
