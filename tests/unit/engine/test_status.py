"""How a deployment is: what was recorded, held against what is live now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.resources import Scope, deployment_id
from reconciler.state.model import State
from reconciler.status.statuses import DeploymentStatus, deployment_statuses
from reconciler.targets.protocol import Live, Readiness, ReadinessState
from tests.support.engine.graphs import graph
from tests.support.engine.rounds import Sandbox

CHURN = deployment_id("fraud", "churn")


@pytest.fixture
def world(tmp_path: Path) -> Sandbox:
    world = Sandbox(tmp_path)
    world.apply(graph({"fraud/churn": {"v1": 90, "v2": 10}}))
    return world


def status(world: Sandbox, live: Live | None = None) -> DeploymentStatus:
    (found,) = deployment_statuses(world.state, live or world.target.observe(Scope()), lambda _: "http://x", Scope())
    return found


def test_what_serves_as_recorded_is_ready(world: Sandbox) -> None:
    found = status(world)
    assert (found.phase, found.reason, found.url, found.claimed) == ("Ready", "Serving", "http://x", True)
    assert [(v.version, v.weight, v.ready, v.replicas) for v in found.variants] == [("v1", 90, 1, 1), ("v2", 10, 1, 1)]


def test_what_died_since_is_told_whatever_was_recorded(world: Sandbox) -> None:
    first, second = (variant for variant in world.target.resources if variant.kind == "variant")
    world.target.crash(first)
    assert (status(world).phase, status(world).reason) == ("Degraded", "ReplicasMissing")
    world.target.crash(second)
    assert (status(world).phase, status(world).reason) == ("Failed", "NotRunning")


def test_a_replica_that_runs_and_is_not_ready_is_shown_with_its_reason(world: Sandbox) -> None:
    live = world.target.observe(Scope())
    first, second = live.variants
    hung = {first: replace(live.variants[first], ready=0, cause="A prediction has been running for longer than 30 s.")}
    one = status(world, replace(live, variants={**live.variants, **hung}))
    assert (one.phase, one.reason) == ("Degraded", "NotReady")
    assert one.message.endswith("are ready: A prediction has been running for longer than 30 s.")
    both = status(world, replace(live, variants={**hung, second: replace(live.variants[second], ready=0)}))
    assert (both.phase, both.reason) == ("Failed", "NotReady")


def test_a_url_that_nothing_answers_is_a_failure_however_many_replicas_are_ready(world: Sandbox) -> None:
    live = world.target.observe(Scope())
    found = status(world, replace(live, routes={CHURN: replace(live.routes[CHURN], reachable=False)}))
    assert (found.phase, found.reason) == ("Failed", "NotReachable")
    lost = replace(live.routes[CHURN], reachable=False, cause="its namespace n is being deleted")
    assert status(world, replace(live, routes={CHURN: lost})).message.startswith("Its namespace n is being deleted. ")


def test_a_deployment_of_which_nothing_is_left_is_not_serving(world: Sandbox) -> None:
    assert (status(world, Live()).phase, status(world, Live()).reason) == ("Failed", "NotReachable")


def test_what_has_no_route_has_no_url(world: Sandbox) -> None:
    live = world.target.observe(Scope())
    (routed,) = deployment_statuses(world.state, live, lambda _: "http://here", Scope())
    (lost,) = deployment_statuses(State("lost"), replace(live, routes={}), lambda _: "http://here", Scope())
    assert (routed.url, lost.url) == ("http://here", "")


def test_what_no_record_knows_is_unclaimed(world: Sandbox) -> None:
    world.file.path.unlink()
    assert (status(world).reason, status(world).claimed) == ("Unclaimed", False)


def test_a_scope_narrows_it(world: Sandbox) -> None:
    live = world.target.observe(Scope())
    assert not deployment_statuses(world.state, live, lambda _: None, Scope.of("search"))
    assert len(deployment_statuses(world.state, live, lambda _: None, Scope.of("fraud/churn"))) == 1


def test_a_degraded_deployment_of_which_nothing_answers_any_more_has_failed(world: Sandbox) -> None:
    world.target.behaviour = lambda variant: Readiness(ReadinessState.FAILED, "no weights")
    world.apply(graph({"fraud/churn": "v3"}))
    assert (status(world).phase, status(world).reason) == ("Degraded", "NotReady")
    for variant in [resource for resource in world.target.resources if resource.kind == "variant"]:
        world.target.die(variant)
    assert (status(world).phase, status(world).reason) == ("Failed", "NotReady")
