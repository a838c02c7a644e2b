"""The objects behind a plan's changes, for who asks to see them."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from reconciler.model.described import FieldChange
from reconciler.model.resources import Desired, ResourceId, deployment_id, tenant_id, variant_id, version_id
from reconciler.plan.model import Action, Change, Plan
from reconciler.plan.objects import Objects, objects_of
from reconciler.plan.views.data import plan_document, render_json
from reconciler.plan.views.markdown import render_markdown
from reconciler.plan.views.text import render_text
from reconciler.targets.protocol import ObjectAction, ObjectChange
from specs.errors import Trouble
from tests.support.engine.graphs import graph
from tests.support.engine.rounds import Sandbox

FRAUD, CHURN = tenant_id("fraud"), deployment_id("fraud", "churn")
CREATED = ObjectChange("Deployment f/churn-1", ObjectAction.CREATE)
CHANGED = ObjectChange("Service f/churn", ObjectAction.CHANGE, (FieldChange("spec.x", "a|b", None),))
DELETED = ObjectChange("Deployment f/churn-0", ObjectAction.DELETE)


def objects(world: Sandbox, desired: Desired, plan: Plan | None = None) -> Objects:
    prepared = world.target.prepare(desired, world.target.observe(Plan(()).scope))
    return objects_of(plan or world.plan(desired), desired, prepared)


def rollout() -> tuple[Plan, Objects]:
    old, new = variant_id("fraud", "churn-0"), variant_id("fraud", "churn-1")
    changes = (
        Change(CHURN, Action.CHANGE, (FieldChange("version", "v1", "v2"),)),
        Change(new, Action.CREATE, deployment=CHURN),
        Change(old, Action.DELETE, deployment=CHURN),
    )
    return Plan(changes), {new: (CREATED,), CHURN: (CHANGED,), old: (DELETED,)}


def test_a_plan_that_changes_nothing_touches_no_object(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    assert {found.kind for found in objects(world, desired)} == {"tenant", "deployment", "variant"}
    world.apply(desired)
    assert objects(world, desired) == {}


def test_what_goes_is_asked_for_without_what_nobody_prepared(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/keep": "v1"}))
    found = objects(world, graph({"fraud/keep": "v1"}))
    assert {one.action for changes in found.values() for one in changes} == {ObjectAction.DELETE}
    assert {resource.name.partition("-")[0] for resource in found} == {"churn"}


@pytest.mark.parametrize("culprit", [FRAUD, version_id("fraud", "churn", "v1"), CHURN], ids=str)
def test_what_can_not_be_carried_out_touches_nothing(world: Sandbox, culprit: ResourceId) -> None:
    desired = graph({"fraud/churn": "v1", "fraud/stays": "v1", "other/x": "v1"})
    world.apply(graph({"fraud/gone": "v1", "fraud/stays": "v1"}))
    plan = world.plan(desired)
    blamed = tuple(replace(c, error=Trouble("Broken")) if c.id == culprit else c for c in plan.changes)
    found = objects(world, desired, replace(plan, changes=blamed))
    assert {resource.name.partition("-")[0] for resource in found} == {"gone", "x", ""}
    assert {resource.tenant for resource in found if not resource.name} <= {"other"}


def test_as_text_they_stand_below_their_deployment_in_the_order_in_which_it_happens() -> None:
    plan, found = rollout()
    text = render_text(plan, objects=found)
    below = [line.strip() for line in text.partition("removes churn-0")[2].splitlines()[1:]]
    assert below[:4] == [
        "+ Deployment f/churn-1",
        "~ Service f/churn",
        "spec.x  a|b -> none",
        "- Deployment f/churn-0",
    ]
    assert "Deployment f" not in render_text(plan)


def test_as_data_each_change_has_its_own_and_without_asking_none_has_any() -> None:
    plan, found = rollout()
    deployment, new, _ = plan_document(plan, found)["changes"]
    field = {"field": "spec.x", "old": "a|b", "new": None}
    assert deployment["objects"] == [{"object": "Service f/churn", "action": "change", "fields": [field]}]
    assert new["objects"] == [{"object": "Deployment f/churn-1", "action": "create", "fields": []}]
    assert not any("objects" in change for change in orjson.loads(render_json(plan))["changes"])


def test_as_markdown_they_are_folded_below_and_break_no_table() -> None:
    text = render_markdown(*rollout())
    assert "<details><summary><code>deployment/fraud/churn</code>: 3 objects</summary>" in text
    assert r"| `Service f/churn` | change | `spec.x`: `a\x7cb` → none |" in text
    assert "<details>" not in render_markdown(rollout()[0])


def test_a_replacement_is_said_and_counted() -> None:
    variant = Change(
        variant_id("fraud", "churn-1"),
        Action.REPLACE,
        deployment=CHURN,
        replacement="Deployment f/churn-1 is removed and made again; its pods stay",
    )
    plan = Plan((Change(CHURN, Action.REPLACE, (FieldChange("runtime", None, "2"),)), variant))
    text = render_text(plan)
    assert (
        "±   deployment churn\n        runtime  none -> 2\n        ± Deployment f/churn-1 is removed and made" in text
    )
    assert "Plan: 1 to replace." in text
    assert "**Replaced**\n\n```text\nDeployment f/churn-1 is removed" in render_markdown(plan)
    assert plan_document(plan)["changes"][1]["replacement"].endswith("its pods stay")
