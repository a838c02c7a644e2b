"""What the state file no longer has to know, because nothing of it is live and nobody asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.resources import DesiredVariant, Scope, deployment_id, version_id
from reconciler.plan.model import Action
from reconciler.plan.views.text import render_text
from reconciler.state.model import Phase, Record
from reconciler.targets.protocol import Readiness, ReadinessState
from tests.support.engine.graphs import graph
from tests.support.engine.memory_target import MemoryTarget
from tests.support.engine.rounds import Sandbox

BROKEN = deployment_id("fraud", "broken")


def broken_never_starts(variant: DesiredVariant) -> Readiness:
    state = ReadinessState.FAILED if variant.deployment == BROKEN else ReadinessState.READY
    return Readiness(state, "no weights", ready=1)


@pytest.fixture
def world(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, MemoryTarget(broken_never_starts))


def test_what_never_served_is_forgotten_once_it_is_no_longer_asked_for(world: Sandbox) -> None:
    world.apply(graph({"fraud/broken": "v1", "fraud/churn": "v1"}))
    assert world.phase(BROKEN) == "Failed"
    desired = graph({"fraud/churn": "v1"})
    plan = world.plan(desired)
    assert [(change.id, change.action) for change in plan.work()] == [(BROKEN, Action.DELETE)]
    assert "broken  (nothing of it serves)" in render_text(plan)
    world.apply(desired)
    assert BROKEN not in world.state.resources
    assert world.plan(desired).is_empty


def test_what_never_served_can_be_destroyed(world: Sandbox) -> None:
    world.apply(graph({"fraud/broken": "v1"}))
    world.apply(graph({}), destroy=True)
    assert BROKEN not in world.state.resources


def test_what_never_served_is_no_deletion_that_a_guard_would_stop(world: Sandbox) -> None:
    world.apply(graph({"fraud/broken": "v1", "fraud/churn": "v1", "search/rank": "v1"}))
    plan = world.plan(graph({"search/rank": "v1"}))
    assert not plan.guards
    assert len(plan.deletions) == 2


def test_the_claims_of_a_round_that_died_are_forgotten_by_the_next(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    (claimed,) = graph({"fraud/churn": "v9"}).variants
    (elsewhere,) = graph({"fraud/risk": "v9"}).variants
    (wanted,) = desired.variants
    state = world.state
    claims = {variant: Record(Phase.PROGRESSING) for variant in (claimed, elsewhere, wanted)}
    world.file.save(replace(state, serial=1, resources=claims))
    world.apply(desired, scope=Scope.of("fraud/churn"))
    assert {v for v in world.state.resources if v.kind == "variant"} == {wanted, elsewhere}


def test_versions_that_no_spec_names_any_more_are_forgotten_and_stay_stored(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    world.apply(graph({"fraud/churn": "v2", "search/rank": "v1"}), scope=Scope.of("search"))
    old, other = version_id("fraud", "churn", "v1"), version_id("search", "rank", "v1")
    assert old in world.state.resources, "outside of what the command is narrowed to"
    world.apply(graph({"fraud/churn": "v2"}, protected=frozenset({"search"})))
    assert old not in world.state.resources
    assert other in world.state.resources, "its spec could not be read"
    assert {ref.version for ref in world.store.refs if ref.tenant == "fraud"} == {"v1", "v2"}


def test_a_tenant_that_is_neither_there_nor_asked_for_is_forgotten(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    world.target.resources = {r: live for r, live in world.target.resources.items() if r.tenant != "search"}
    world.apply(graph({"fraud/churn": "v2"}))
    assert not [r for r in world.state.resources if r.tenant == "search"]


def test_what_a_round_made_and_did_not_live_to_record_is_recorded_by_the_next(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    state = world.state
    claimed = {resource: replace(record, phase=Phase.PROGRESSING) for resource, record in state.resources.items()}
    world.file.save(replace(state, resources=claimed))
    assert {change.action for change in world.plan(desired).work()} == {Action.ADOPT}
    world.apply(desired)
    assert {record.phase for record in world.state.resources.values()} == {Phase.READY}
    assert world.plan(desired).is_empty
