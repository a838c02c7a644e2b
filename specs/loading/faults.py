"""Turns pydantic's validation errors for a part of a document into problems at their place in the file.

In: a ValidationError and the part that was validated. Out: problems, worded by `messages.py`. Called
by `tenant_document.py` and `loader.load_platform`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError

from specs.loading.messages import Fault, Part, words_for
from specs.problems import Problem, Refusal
from specs.syntax.documents import KEY, Key

__all__ = ["Part", "empty_fields", "problems_of"]

_JSON_FIELDS = frozenset({"inputs", "outputs"})  # null is a value in them


def problems_of(error: ValidationError, part: Part, limit: int) -> list[Problem]:
    """At most `limit` problems, each once, in the order in which pydantic checked."""
    found: dict[tuple[object, ...], Problem] = {}
    details = error.errors(include_url=False)
    for item in details[: 2 * limit]:
        if item["type"] == "too_short" and _has_faulty_items(item["loc"], details):
            continue
        problem = _problem(part, item)
        found.setdefault((problem.place, problem.summary, problem.detail), problem)
    return list(found.values())[:limit]


def empty_fields(part: Part, limit: int) -> list[Problem]:
    """Problems for fields that are written without a value, such as `sha256:` with nothing after it: pydantic takes
    them for absent, but the user probably didn't finish the line."""
    nothing = islice(_nothing(part.data, part.keys), limit)
    return [part.places.problem(keys, *words_for("empty", Fault(part, keys, "", None, {}, ""))) for keys in nothing]


def _nothing(data: Any, keys: tuple[Key, ...]) -> Iterator[tuple[Key, ...]]:
    if isinstance(data, dict):
        for key, value in data.items():
            if value is None:
                yield (*keys, key)
            elif key not in _JSON_FIELDS:
                yield from _nothing(value, (*keys, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _nothing(value, (*keys, index))


def _has_faulty_items(location: tuple[Key, ...], details: Sequence[Any]) -> bool:
    """Whether items of the list have errors: pydantic doesn't count those, and then reports the list as too short."""
    return any(len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in details)


def _problem(part: Part, item: Any) -> Problem:
    location, kind, context = item["loc"], item["type"], item.get("ctx", {})
    keys = part.keys + _keys(part.data, location)
    refusal = context.get("error")
    if isinstance(refusal, Refusal):
        return part.places.problem((*keys, *refusal.at), refusal.code, refusal.summary, refusal.detail)
    field = str(location[-1]) if location else ""
    words = words_for(kind, Fault(part, keys, field, item["input"], context, item["msg"]))
    return part.places.problem((*keys, KEY) if kind == "extra_forbidden" else keys, *words)


def _keys(data: Any, location: Sequence[Key]) -> tuple[Key, ...]:
    """The location without the tags of unions, which pydantic puts between the keys."""
    keys: list[Key] = []
    for part in location:
        if part == KEY:
            keys.append(part)
        elif _has(data, part):
            data = data[part]
            keys.append(part)
    return tuple(keys)


def _has(data: Any, key: Key) -> bool:
    if isinstance(data, dict):
        return key in data
    return isinstance(data, list) and isinstance(key, int) and key < len(data)
