"""Compares rendered with live objects: they are equal if every value that we set is live. Pure; called by `prepare.py`.

Live objects hold more than we set: defaults, status, fields of other managers. Only our own paths are compared;
`ownership.py` finds what somebody added to a spec by editing it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.described import FieldChange
from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects import redaction
from reconciler.targets.kubernetes.objects.identity import (
    FACTS,
    FIELDS,
    RENDERED,
    Object,
    ObjectRef,
    annotation,
    recorded,
)
from reconciler.targets.kubernetes.objects.kinds import UNCHANGEABLE
from reconciler.targets.kubernetes.objects.ownership import editors, given_up
from reconciler.targets.kubernetes.objects.quantities import same_amount

MAX_CHANGES = 8  # shown of one object, unless its differences are asked for
MAX_VALUE = 60  # characters of a value in them

Difference = tuple[str, JSON, JSON]
"""(path, live, as rendered)"""

_LIST_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "hostAliases": ("ip",),
}
"""Lists whose items the API identifies by a key, and to which other managers may add; `ports` depend on the place.

https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy. All others are one value.
"""
_QUANTITIES = frozenset(
    {"limits", "requests", "hard", "default", "defaultRequest", "max", "min", "averageValue", "value"}
)
_RECORDS = (f"metadata.annotations.{FIELDS}", f"metadata.annotations.{FACTS}")
_WORDS = {("Deployment", "spec.replicas"): "running replicas"}


def differences(rendered: Object, live: Object | None) -> tuple[FieldChange, ...]:
    """What applying would change, in the object's own paths; empty if it is live as rendered."""
    ref = ObjectRef.of(rendered)
    if live is None:
        return (FieldChange(f"{ref.kind} {ref.name}", None, "present"),)
    if live["metadata"].get("deletionTimestamp"):
        return (FieldChange(f"{ref.kind} {ref.name}", "going", "present"),)
    found = _changes(rendered, live, MAX_VALUE)
    if not found and annotation(live, RENDERED) != annotation(rendered, RENDERED):
        return (FieldChange(f"{ref.kind} {ref.name}", "rendered before", "rendered now"),)
    shown = [
        FieldChange(_WORDS.get((ref.kind, c.field)) or f"{ref.kind} {c.field}", c.old, c.new)
        for c in found[:MAX_CHANGES]
    ]
    if (more := len(found) - MAX_CHANGES) > 0:
        shown.append(FieldChange(f"{ref.kind}: {more} more", "changed", "as rendered"))
    return tuple(shown)


def all_differences(rendered: Object, live: Object) -> tuple[FieldChange, ...]:
    """Every path that applying would set, revert or remove."""
    limit = redaction.MAX_VALUE
    found = _changes(rendered, live, limit)
    told = {change.field for change in found}
    gone = [FieldChange(path, redaction.text(old, path, limit), None) for path, old in given_up(rendered, live)]
    return (*found, *(change for change in gone if not any(_is_below(change.field, path) for path in told)))


def unchangeable(rendered: Object, live: Object) -> Difference | None:
    """The difference that can't be applied in place, so that the object has to be replaced; None if there is none."""
    path = UNCHANGEABLE.get(ObjectRef.of(rendered).api)
    if path is None:
        return None
    ours, there = _at(rendered, path), _at(live, path)
    return None if _bare(ours) == _bare(there) else (path, there, ours)


def is_drift(rendered: Object, live: Object | None) -> bool:
    """Whether a difference was made by others: the rendered object has not changed since it was applied."""
    return live is None or annotation(live, RENDERED) == annotation(rendered, RENDERED)


def _changes(rendered: Object, live: Object, limit: int) -> list[FieldChange]:
    whole = unchangeable(rendered, live)
    told = [whole] if whole else []
    for one in _walk(_ours(rendered), live, "", rendered["kind"]):
        if not whole or not _is_below(one[0], whole[0]):
            told += _spread(one)
    found = [
        FieldChange(path, redaction.text(old, path, limit), redaction.text(new, path, limit)) for path, old, new in told
    ]
    for manager, path in editors(live):
        if not any(other.startswith(path) for other, _, _ in told):
            found.append(FieldChange(path, f"added by {manager}", None))
    return found


def _spread(one: Difference) -> Iterator[Difference]:
    """What a variant records of itself, field by field; anything else as it is."""
    path, old, new = one
    before, after = (recorded(value or "") if path in _RECORDS else {} for value in (old, new))
    found = [
        (f"{path}[{name}]", before.get(name), after.get(name))
        for name in {**after, **before}
        if before.get(name) != after.get(name)
    ]
    yield from found or [one]


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}.")


def _at(found: Object, path: str) -> JSON:
    for key in path.split("."):
        found = found.get(key) or {}
    return found


def _bare(value: JSON) -> JSON:
    """The value without empty parts, which the API leaves out."""
    if isinstance(value, dict):
        return {key: bare for key, below in value.items() if (bare := _bare(below)) not in (None, {}, [])}
    return [_bare(one) for one in value] if isinstance(value, list) else value


def _ours(rendered: Object) -> Object:
    annotations = {k: v for k, v in (rendered["metadata"].get("annotations") or {}).items() if k != RENDERED}
    return {**rendered, "metadata": {**rendered["metadata"], "annotations": annotations}}


def _walk(ours: JSON, live: JSON, path: str, field: str) -> Iterator[Difference]:
    """`field`: the name of the list or map that `ours` is, which says how it is compared."""
    if isinstance(ours, dict):
        if ours and not isinstance(live, dict):
            yield path, live, ours
            return
        for key, value in ours.items():
            there = live.get(key) if live else None
            if value == there:  # as most values are
                continue
            below = f"{path}.{key}" if path else key
            yield from _walk(value, there, below, field if field in _QUANTITIES else key)
    elif isinstance(ours, list):
        yield from _walk_list(ours, live or [], path, field)
    elif not _same(ours, live, field):
        yield path, live, ours


def _walk_list(ours: list[JSON], live: JSON, path: str, field: str) -> Iterator[Difference]:
    keys = _keys(ours, field)
    if not isinstance(live, list) or (not keys and len(live) != len(ours)):
        yield path, live, ours
    elif keys:
        there = {_key(item, keys): item for item in live}
        for item in ours:
            key = _key(item, keys)
            yield from _walk(item, there.get(key), f"{path}[{'/'.join(map(str, key))}]", "")
    elif all(isinstance(one, str) for one in ours):  # a command line is one value: `--token` says what comes behind it
        if ours != live:
            yield path, live, ours
    else:
        for index, (one, other) in enumerate(zip(ours, live, strict=True)):
            yield from _walk(one, other, f"{path}[{index}]", "")


def _keys(items: list[JSON], field: str) -> tuple[str, ...]:
    if field == "ports" and items and isinstance(items[0], dict):
        if "containerPort" in items[0]:
            return ("containerPort", "protocol")
        return ("port", "protocol") if "targetPort" in items[0] else ()  # of a Service; a NetworkPolicy's are one value
    return _LIST_KEYS.get(field, ())


def _key(item: Mapping[str, JSON], keys: tuple[str, ...]) -> tuple[JSON, ...]:
    return tuple(item.get(key, "TCP" if key == "protocol" else None) for key in keys)


def _same(ours: JSON, live: JSON, field: str) -> bool:
    if ours == live or (live is None and ours in (None, "", False, 0)):
        return True
    return field in _QUANTITIES and same_amount(ours, live)
