"""What a round refuses to delete, and what it takes to be allowed to."""

from __future__ import annotations

import pytest

from reconciler.model.resources import Scope, deployment_id, tenant_id
from reconciler.state.model import Verdict
from specs.models.platform import Guards
from tests.support.engine.graphs import graph
from tests.support.engine.rounds import Sandbox


def deployments(*numbers: int) -> dict[str, str]:
    return {f"fraud/d{number}": "v1" for number in numbers}


@pytest.mark.parametrize(
    ("had", "left", "held"),
    [
        (16, 11, False),  # 5 go: not more than 5, though 31%
        (20, 14, False),  # 6 go: more than 5, and 30% is not more than 30%
        (19, 13, True),  # 6 go, 31.6%
        (6, 1, False),  # 5 of 6
        (7, 1, True),
    ],
)
def test_the_budget_is_passed_by_more_than_its_number_and_more_than_its_share(
    world: Sandbox, had: int, left: int, held: bool
) -> None:
    world.apply(graph(deployments(*range(had))))
    assert bool(world.plan(graph(deployments(*range(left)))).guards) is held


def test_the_operators_own_budget_counts(world: Sandbox) -> None:
    world.apply(graph(deployments(0, 1, 2, 3)))
    plan = world.plan(graph(deployments(0, 1, 2)), guards=Guards(max_deletions=0, max_deletion_percent=10))
    assert [guard.code for guard in plan.guards] == ["budget"]


def test_of_what_is_held_back_the_variants_stay_too_and_the_rest_goes_on(world: Sandbox) -> None:
    world.apply(graph({"fraud/a": "v1", "fraud/b": "v1", "search/rank": "v1"}))
    before = dict(world.target.resources)
    outcome = world.apply(graph({"search/rank": "v2"}))
    assert outcome.verdict is Verdict.FAILED
    assert {r for r in before if r.tenant == "fraud"} <= world.target.resources.keys()
    assert world.phase(deployment_id("search", "rank")) == "Ready"
    assert world.state.resources[deployment_id("search", "rank")].applied


def test_no_specs_delete_nothing_but_what_the_operator_removes(world: Sandbox) -> None:
    """One tenant with a single deployment, which no other guard would hold."""
    world.apply(graph({"fraud/churn": "v1", "gone/old": "v1"}))
    plan = world.plan(graph({}, removed=frozenset({"gone"})))
    assert [(guard.code, guard.withheld) for guard in plan.guards] == [("empty", (deployment_id("fraud", "churn"),))]
    assert {change.id for change in plan.deletions} == {deployment_id("gone", "old"), tenant_id("gone")}


def test_when_every_spec_is_broken_nothing_of_the_others_goes_either(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    plan = world.plan(graph({}, protected=frozenset({"search"})), allow_deletions=True)
    assert plan.is_empty
    assert {guard.code for guard in plan.guards} == {"protected", "empty"}


def test_allowing_deletions_does_not_reach_a_tenant_whose_spec_failed_to_load(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    plan = world.plan(graph({"search/rank": "v1"}, protected=frozenset({"fraud"})), allow_deletions=True)
    assert plan.is_empty


def test_what_nobody_could_read_keeps_even_a_removed_tenant(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    assert world.plan(graph({"search/rank": "v1"}, protected=None, removed=frozenset({"fraud"}))).is_empty


def test_a_scope_is_a_round_of_its_own_to_the_budget(world: Sandbox) -> None:
    """6 of 10 of one tenant, whose share of all is small."""
    others = {f"t{n}/x": "v1" for n in range(30)}
    world.apply(graph(deployments(*range(10)) | others))
    fewer = graph(deployments(0, 1, 2, 3) | others)
    assert not world.plan(fewer).guards
    assert [guard.code for guard in world.plan(fewer, scope=Scope.of("fraud")).guards] == ["budget"]
