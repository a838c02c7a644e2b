"""Objects that can't be changed in place: whether they may be replaced, and what that does to serving pods. Pure.

Called by `prepare.py`, so that the plan shows it; `apply.py` replaces only what the plan says.

A Deployment that is deleted without its dependents leaves its ReplicaSets and pods running. The next Deployment
takes them over if its selector selects them, so that serving is not interrupted:
https://kubernetes.io/docs/tasks/administer-cluster/use-cascading-deletion/#set-orphan-deletion-policy
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.compare import unchangeable
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, Propagation
from reconciler.targets.kubernetes.objects.kinds import UNCHANGEABLE, WORKLOAD
from reconciler.targets.protocol import TargetError


@dataclass(frozen=True, slots=True)
class Replacements:
    """`objects`: what is deleted and created again, and what happens to its dependents; `note` is for people."""

    objects: Mapping[ObjectRef, Propagation] = field(default_factory=dict)
    note: str = ""
    error: TargetError | None = None


def replacements(changed: Iterable[tuple[Object, Object | None]], *, serves: bool) -> Replacements:
    """The replacements among (rendered, live) pairs that differ. `serves`: whether their pods take requests now."""
    found = [
        _replacement(ObjectRef.of(one), wrong[0], one, there, serves=serves)
        for one, there in changed
        if there is not None and not there["metadata"].get("deletionTimestamp") and (wrong := unchangeable(one, there))
    ]
    return Replacements(
        {ref: propagation for each in found for ref, propagation in each.objects.items()},
        ". ".join(each.note for each in found if each.note),
        next((each.error for each in found if each.error), None),
    )


def in_place_error(ref: ObjectRef, why: str) -> TargetError:
    where = f" -n {ref.namespace}" if ref.namespace else ""
    return TargetError(
        "A field can't be changed in place",
        f"{ref}: {why}. Nothing was changed. Remove it with `kubectl delete {ref.kind.lower()} {ref.name}{where}`, and "
        "the next round creates it again.",
    )


def interruption_error(ref: ObjectRef) -> TargetError:
    path = UNCHANGEABLE[ref.api]
    return TargetError(
        "A field can't be changed without an interruption",
        f"{ref} serves, and its {path} can't be changed in place. A new one would not match the pods that serve, "
        "because they lack labels of the new selector. A new variant has the new selector from its start and replaces "
        "this one without an interruption: deploy another version, or change what the variant is made of (its env, its "
        "resources, the runtime's image). Or have the chart use labels that the pods have. To accept the "
        f"interruption: `kubectl delete deployment {ref.name} -n {ref.namespace}`; the next round creates it again.",
    )


def _replacement(ref: ObjectRef, path: str, one: Object, there: Object, *, serves: bool) -> Replacements:
    if ref.api != WORKLOAD:  # a RoleBinding is the one that KubeServe has no right to delete
        return Replacements(error=in_place_error(ref, f"{path} is not what it should be"))
    what = f"{ref} is deleted and created again, because its {path} can't be changed in place"
    if _selects(one["spec"]["selector"], there["spec"]["template"]["metadata"].get("labels") or {}):
        return Replacements({ref: Propagation.ORPHAN}, f"{what}; its pods stay and keep serving")
    if serves:
        return Replacements(error=interruption_error(ref))
    return Replacements({ref: Propagation.BACKGROUND}, f"{what}; its pods, which take no requests, are started again")


def _selects(selector: Mapping[str, JSON], labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return not selector.get("matchExpressions") and wanted.items() <= labels.items()
