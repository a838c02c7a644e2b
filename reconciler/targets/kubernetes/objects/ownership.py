"""What people added to our objects' specs by editing them, from the API server's record of field managers. Pure.

An edit of a value that we set shows in a comparison, and applying reverts it. A field that somebody *added* (an
environment variable, a host path) keeps its manager when we apply. To remove it, we first take over its ownership; then
the next apply removes it, as it removes all that we no longer render. Fields that others *apply* are not touched here.

https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.identity import MANAGER, SCALER, Object

OURS = frozenset({MANAGER, SCALER})
CONTROLLERS = frozenset({"kube-controller-manager", "kube-apiserver", "kube-scheduler", "kubelet"})
"""Managers that are parts of the cluster itself."""


def editors(live: Object) -> Iterator[tuple[str, str]]:
    """(manager, path) of every field that somebody added to the spec and that still exists."""
    for entry in _edits(live):
        for path in _paths(_spec(entry)["f:spec"], "spec"):
            yield entry["manager"], path


def taken_over(live: Object) -> list[JSON] | None:
    """The managedFields in which we own what was added to the spec by editing; None if nothing was."""
    edits = list(_edits(live))
    if not edits:
        return None
    entries: list[JSON] = [e for e in live["metadata"]["managedFields"] if e not in edits]
    own = next((e for e in entries if _is_own(e)), None)
    fields: dict[str, JSON] = own["fieldsV1"] if own else {}
    for entry in edits:
        fields = _united(fields, _spec(entry))
    base = own or {"manager": MANAGER, "operation": "Apply", "apiVersion": live["apiVersion"], "fieldsType": "FieldsV1"}
    return [*(e for e in entries if e is not own), {**base, "fieldsV1": fields}]


def given_up(rendered: Object, live: Object) -> Iterator[tuple[str, JSON]]:
    """(path, value) of what we applied once and no longer render, so that applying removes it. Except a number of
    replicas, which stays until an autoscaler changes it."""
    own = next((e for e in live["metadata"].get("managedFields") or () if _is_own(e)), None)
    if own:
        found = _absent(own.get("fieldsV1") or {}, rendered, live, "")
        yield from ((path, value) for path, value in found if path != "spec.replicas")


def applies(live: Object, *path: str) -> bool:
    """Whether we apply this field."""
    own = next((e for e in live["metadata"].get("managedFields") or () if _is_own(e)), None)
    fields: JSON = (own or {}).get("fieldsV1")
    for name in path:
        fields = (fields or {}).get(f"f:{name}")
    return fields is not None


def _absent(fields: Mapping[str, JSON], ours: JSON, live: JSON, path: str) -> Iterator[tuple[str, JSON]]:
    for key, below in fields.items():
        kind, _, name = key.partition(":")
        if kind == "f":
            part, there = (one.get(name) if isinstance(one, dict) else None for one in (ours, live))
            inner = f"{path}.{name}" if path else name
        elif kind == "k":
            part, there = (_keyed(one, orjson.loads(name)) for one in (ours, live))
            inner = f"{path}[{_item(name)}]"
        else:  # the node itself, or one of a set of plain values, which is compared as a whole
            continue
        if part is None and there is not None:
            yield inner, there
        elif part is not None:
            yield from _absent(below, part, there, inner)


def _keyed(items: JSON, key: Mapping[str, JSON]) -> JSON:
    """The item of a list that the API knows by this key, in which defaults are written out."""
    for item in items if isinstance(items, list) else ():
        if all(item.get(name, "TCP" if name == "protocol" else None) == value for name, value in key.items()):
            return item
    return None


def _is_own(entry: Mapping[str, JSON]) -> bool:
    return bool(entry["manager"] == MANAGER and entry["operation"] == "Apply" and not entry.get("subresource"))


def _edits(live: Object) -> Iterator[dict[str, JSON]]:
    for entry in live["metadata"].get("managedFields") or ():
        if entry["operation"] != "Update" or entry.get("subresource") or entry["manager"] in OURS | CONTROLLERS:
            continue
        if entry["apiVersion"] == live["apiVersion"] and _spec(entry):
            yield entry


def _spec(entry: Mapping[str, JSON]) -> dict[str, JSON]:
    """The part about the spec, without the number of replicas, which is compared by its value."""
    spec = {k: v for k, v in (entry.get("fieldsV1") or {}).get("f:spec", {}).items() if k not in ("f:replicas", ".")}
    return {"f:spec": spec} if spec else {}


def _paths(fields: Mapping[str, JSON], path: str) -> Iterator[str]:
    """The leaves, as people write them: `spec.template.spec.containers[server].env[DEBUG]`."""
    if "." in fields or not fields:
        yield path
        return
    for key, below in fields.items():
        kind, _, name = key.partition(":")
        yield from _paths(below, f"{path}.{name}" if kind == "f" else f"{path}[{_item(name)}]")


def _item(key: str) -> str:
    found = orjson.loads(key)
    return "/".join(map(str, found.values())) if isinstance(found, dict) else str(found)


def _united(one: Mapping[str, JSON], other: Mapping[str, JSON]) -> dict[str, JSON]:
    merged = dict(one)
    for key, below in other.items():
        merged[key] = _united(merged[key], below) if key in merged else below
    return merged
