"""What a saved plan is bound to: it is refused when that has changed, and only then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from reconciler.desired.graph import compile_graph
from reconciler.model.graph_digest import graph_digest
from reconciler.model.resources import Desired, deployment_id
from reconciler.plan.model import Plan
from reconciler.plan.views.data import plan_digest, render_json
from specs.loading.loader import SpecFile, load_tenants
from specs.models.platform import Platform, default_platform
from tests.support.engine.graphs import graph, version
from tests.support.engine.rounds import Sandbox

SPEC = b"""
apiVersion: kubeserve.io/v1
tenant: fraud
models: {churn: {versions: {v1: {artifact: churn.joblib}}}}
deployments: {churn: {model: churn, version: v1}}
"""
OLD, NEW = graph({"fraud/churn": "v1", "fraud/risk": "v1"}), graph({"fraud/churn": "v2", "fraud/risk": "v1"})


@pytest.fixture
def world(tmp_path: Path) -> Sandbox:
    world = Sandbox(tmp_path)
    world.apply(OLD)
    return world


def saved(plan: Plan) -> str:
    """As `plan --out` and `apply --plan` compare it."""
    return plan_digest(orjson.loads(render_json(plan)))


def test_a_round_with_nothing_to_do_leaves_a_saved_plan_good(world: Sandbox) -> None:
    before = saved(world.plan(NEW))
    world.apply(OLD)
    assert saved(world.plan(NEW)) == before


def test_another_commit_that_asks_for_the_same_leaves_it_good(world: Sandbox) -> None:
    plan = world.plan(NEW)
    assert saved(replace(plan, revision="main at 0000000")) == saved(plan)


def test_what_it_does_not_touch_may_change(world: Sandbox) -> None:
    before = saved(world.plan(NEW))
    (risk,) = (r for r in world.target.resources if r.name.startswith("risk-"))
    world.target.resources[risk] = replace(world.target.resources[risk], fingerprint="other")
    assert saved(world.plan(NEW)) == before


def test_what_it_touches_may_not(world: Sandbox) -> None:
    before = saved(world.plan(NEW))
    churn = deployment_id("fraud", "churn")
    world.target.resources[churn] = replace(world.target.resources[churn], fingerprint="other")
    assert saved(world.plan(NEW)) != before


def test_a_round_that_did_something_and_a_new_state_file_end_it(world: Sandbox) -> None:
    before = world.plan(NEW).binding
    world.apply(graph({"fraud/churn": "v3", "fraud/risk": "v1"}))
    assert world.plan(NEW).binding.serial != before.serial
    (world.folder / "state.json").unlink()
    assert world.plan(NEW).binding.lineage != before.lineage


def test_a_plan_of_a_first_round_is_good_until_there_is_a_state(tmp_path: Path) -> None:
    world = Sandbox(tmp_path)
    assert saved(world.plan(OLD)) == saved(world.plan(OLD))


def compiled(platform: Platform, release: str = "1.0", runtime: str = "image:1") -> Desired:
    (spec,) = load_tenants([SpecFile("kubeserve.yaml", SPEC)], platform).tenants.values()
    churn = version("fraud", "churn", "v1")
    return compile_graph([spec], {"fraud": {churn.id: churn}}, platform, runtime, release=release)


def test_the_desired_graph_pins_platform_yaml_our_release_and_the_runtime() -> None:
    platform = default_platform()
    same = graph_digest(compiled(platform))
    assert graph_digest(compiled(default_platform())) == same
    other_guards = platform.guards.model_copy(update={"max_deletions": 7})
    others = [
        compiled(platform.model_copy(update={"guards": other_guards})),
        compiled(platform, release="1.1"),
        compiled(platform, runtime="image:2"),
    ]
    assert same not in {graph_digest(other) for other in others}
