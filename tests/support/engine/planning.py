"""A plan for what a target prepared, as a round makes it: everything stored, nothing recorded."""

from __future__ import annotations

from reconciler.model.resources import Desired
from reconciler.plan.diff import make_plan
from reconciler.plan.inputs import PlanOptions, World
from reconciler.plan.model import Plan, Stored
from reconciler.state.model import State
from reconciler.targets.protocol import Live, Prepared


def plan_of(desired: Desired, live: Live, prepared: Prepared) -> Plan:
    stored = Stored({version.id: frozenset({version.digest}) for version in desired.versions.values()})
    return make_plan(World(desired, live, stored, prepared, State("lost")), PlanOptions())
