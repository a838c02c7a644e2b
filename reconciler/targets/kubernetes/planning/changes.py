"""Which objects a change would touch, and every path of them that differs: for who asks to see it. Pure.

Called by `rollout.py`, on request only. Secrets, which are copied and never compared, are not among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.targets.kubernetes.objects.compare import all_differences, differences
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef
from reconciler.targets.kubernetes.planning.payload import Payload
from reconciler.targets.protocol import ObjectAction, ObjectChange


def touched(payload: Payload, live: Mapping[ObjectRef, Object]) -> Iterator[ObjectChange]:
    """What applying a payload to what is live would touch, in its order."""
    for one in payload.objects:
        ref = ObjectRef.of(one)
        there = live.get(ref)
        if not differences(one, there):
            continue
        if there is None or there["metadata"].get("deletionTimestamp"):
            yield ObjectChange(str(ref), ObjectAction.CREATE)
        else:
            action = ObjectAction.REPLACE if ref in payload.replaced else ObjectAction.CHANGE
            yield ObjectChange(str(ref), action, all_differences(one, there))
    yield from removed(payload.obsolete)


def removed(objects: Iterable[Object]) -> Iterator[ObjectChange]:
    return (ObjectChange(str(ObjectRef.of(one)), ObjectAction.DELETE) for one in objects)
