"""What a change does to the things that this machine has of a resource: a variant's processes, a deployment's route.

Called by `target.py`, on request only. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.resources import Kind, ResourceId
from reconciler.targets.protocol import ObjectAction, ObjectChange, PreparedResource

_NAMES = {Kind.VARIANT: "processes of", Kind.DEPLOYMENT: "route to"}
"""A tenant has nothing but its name."""


def touched(resource: ResourceId, prepared: PreparedResource | None) -> Iterator[ObjectChange]:
    if resource.kind not in _NAMES:
        return
    name = f"{_NAMES[resource.kind]} {resource.tenant}/{resource.name}"
    if prepared is None:
        yield ObjectChange(name, ObjectAction.DELETE)
    elif prepared.changes and all(change.old is None for change in prepared.changes):
        yield ObjectChange(name, ObjectAction.CREATE)
    elif prepared.changes:
        yield ObjectChange(name, ObjectAction.CHANGE, prepared.changes)
