"""The objects behind a plan's changes, gathered when somebody asks to see them. Pure: it compares what was prepared
with what was observed.

Called by `cli/plans.py` after the plan is made: neither the plan nor what is saved of it holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.resources import Desired, Kind, ResourceId, tenant_id
from reconciler.plan.model import Action, Change, Plan
from reconciler.targets.protocol import ObjectChange, Prepared

Objects = Mapping[ResourceId, tuple[ObjectChange, ...]]
"""Of each change that is carried out."""


def objects_of(plan: Plan, desired: Desired, prepared: Prepared) -> Objects:
    return {
        change.id: prepared.object_changes(change.id, deleted=change.action is Action.DELETE)
        for change in plan.work(Kind.TENANT, Kind.DEPLOYMENT, Kind.VARIANT)
        if not any(plan.by_id[part].error for part in _rests_on(change, desired) if part in plan.by_id)
    }


def behind(change: Change, plan: Plan, objects: Objects) -> tuple[ObjectChange, ...]:
    """What people see below one change: a deployment's with those of its variants, in the order in which it happens."""
    variants = plan.variants_of.get(change.id, ())
    first = [v for v in variants if v.action is not Action.DELETE]
    last = [v for v in variants if v.action is Action.DELETE]
    return tuple(one for each in (*first, change, *last) for one in objects.get(each.id, ()))


def _rests_on(change: Change, desired: Desired) -> Iterator[ResourceId]:
    """The changes whose errors stop this one. A deletion depends on no other change."""
    deployment = change.deployment or change.id
    yield from (change.id, deployment)
    if deployment in desired.deployments:
        yield tenant_id(change.id.tenant)
        yield from (variant.version for variant in desired.variants_of[deployment])
