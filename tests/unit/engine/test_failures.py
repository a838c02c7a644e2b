"""What fails while a round goes on: what is recorded of it, in which order, and what is left alone."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from reconciler.engine import walks
from reconciler.engine.run import Event
from reconciler.model.resources import (
    DesiredTenant,
    DesiredVariant,
    Kind,
    ResourceId,
    deployment_id,
    tenant_id,
    version_id,
)
from reconciler.plan.model import Action
from reconciler.state.model import Phase, Verdict
from reconciler.targets.protocol import Readiness, ReadinessState
from specs.errors import KubeServeError
from tests.support.engine.graphs import graph, variant, version
from tests.support.engine.memory_target import READY
from tests.support.engine.rounds import Sandbox

CHURN = deployment_id("fraud", "churn")
RANK = deployment_id("search", "rank")
V1, V2 = (version("fraud", "churn", name) for name in ("v1", "v2"))
OLD, NEW = (variant("fraud", "churn", of).id for of in (V1, V2))


def crashes(name: str) -> Callable[[DesiredVariant], Readiness]:
    def behaviour(of: DesiredVariant) -> Readiness:
        return Readiness(ReadinessState.FAILED, "no weights", ("loading",)) if of.version_name == name else READY

    return behaviour


def refusing(
    world: Sandbox, verb: str, resource: object, error: BaseException | None = None
) -> Callable[[str, str], None]:
    def before(asked: str, of: str) -> None:
        if (asked, of) == (verb, str(resource)):
            raise error or KubeServeError("Refused")

    return before


def test_why_it_failed_is_recorded_before_what_failed_is_removed(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.behaviour = crashes("v2")
    world.listen = lambda event: interrupt_at(event, "removing")
    with pytest.raises(KeyboardInterrupt):
        world.apply(graph({"fraud/churn": "v2"}))
    record = world.state.resources[CHURN]
    assert (record.phase, record.reason, record.attempts) == ("Degraded", "NotReady", 1)
    assert record.log == ("loading",)
    assert NEW in world.state.resources, "it is still there, and so still claimed"


def interrupt_at(event: Event, text: str) -> None:
    if event.text.startswith(text):
        raise KeyboardInterrupt


def test_a_failure_is_counted_once_a_round(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.behaviour = crashes("v2")
    for attempts in (1, 2, 3):
        world.apply(graph({"fraud/churn": "v2"}))
        assert world.state.resources[CHURN].attempts == attempts


def test_what_failed_and_can_not_be_removed_keeps_its_cause_and_goes_with_the_next_round(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.behaviour = crashes("v2")
    world.target.before = refusing(world, "remove", NEW)
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.DEGRADED
    assert "no weights" in world.state.resources[CHURN].message
    assert NEW in world.state.resources
    world.target.before = lambda verb, resource: None
    world.apply(graph({"fraud/churn": "v1"}))
    assert NEW not in world.target.resources
    assert NEW not in world.state.resources


def test_a_deployment_whose_old_version_died_meanwhile_is_failed(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))

    def behaviour(of: DesiredVariant) -> Readiness:
        world.target.die(OLD)
        return crashes("v2")(of)

    world.target.behaviour = behaviour
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.FAILED
    assert world.phase(CHURN) == "Failed"


def test_a_first_version_that_serves_is_not_failed_by_what_can_not_be_removed(world: Sandbox) -> None:
    world.target.behaviour = crashes("v1")
    world.target.before = refusing(world, "remove", OLD)
    world.apply(graph({"fraud/churn": "v1"}))
    assert world.phase(CHURN) == "Failed"
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.DEGRADED
    assert (world.phase(CHURN), world.target.routed(CHURN).weights) == ("Degraded", {NEW: 100})


def test_a_failed_rollout_says_nothing_about_the_variant_that_goes_on_serving(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.behaviour = crashes("v2")
    world.apply(graph({"fraud/churn": {"v1": 90, "v2": 10}}))
    assert world.phase(CHURN) == "Degraded"
    assert world.phase(OLD) == "Ready"
    assert NEW not in world.state.resources


def test_an_upload_that_fails_where_an_old_version_serves_is_no_outage(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))

    def refuse(ref: object) -> None:
        raise KubeServeError("Disk is full")

    world.store.before = refuse
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.DEGRADED
    assert world.phase(version_id("fraud", "churn", "v2")) == "Degraded"
    assert world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1"})).verdict is Verdict.FAILED


def test_a_route_that_can_not_be_set_leaves_the_old_one_serving(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.before = refusing(world, "route", CHURN)
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.DEGRADED
    assert world.target.routed(CHURN).weights == {OLD: 100}
    assert OLD in world.target.resources


def test_a_library_that_ends_the_process_from_a_worker_ends_its_walk_only(world: Sandbox) -> None:
    world.target.before = refusing(world, "ensure", OLD, SystemExit(2))
    assert world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"})).verdict is Verdict.FAILED
    assert "SystemExit" in world.state.resources[CHURN].message
    assert world.phase(RANK) == "Ready"


def test_who_watches_can_not_make_a_rollout_fail(world: Sandbox) -> None:
    def broken_pipe(event: Event) -> None:
        raise BrokenPipeError

    world.listen = broken_pipe
    assert world.apply(graph({"fraud/churn": "v1"})).verdict is Verdict.SUCCEEDED


def test_an_interrupted_start_is_recorded_as_that_and_not_as_a_failure(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.listen = lambda event: interrupt_at(event, "waiting until")
    with pytest.raises(KeyboardInterrupt):
        world.apply(graph({"fraud/churn": "v2"}))
    assert world.state.resources[CHURN].reason == "Interrupted"
    assert world.state.rounds[-1].outcome == "interrupted"
    assert not [event for event in world.events if "which failed" in event.text]
    world.listen = lambda event: None
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.SUCCEEDED


def test_an_interruption_before_anything_has_begun_is_recorded_of_all_that_was_to_be_done(world: Sandbox) -> None:
    def at_once(*_: object) -> None:
        raise KeyboardInterrupt

    world.listen = at_once
    with pytest.raises(KeyboardInterrupt):
        world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    done = {resource: record for resource, record in world.state.resources.items() if resource.kind != "variant"}
    assert {record.reason for record in done.values()} == {"Interrupted"}


def test_an_interrupted_round_tells_every_walk_that_was_starting_something(world: Sandbox) -> None:
    """The interruption comes while two calls run; neither walk takes it for a failure of its call."""
    second = deployment_id("fraud", "risk")

    def interrupt(event: Event) -> None:
        if event.resource == second and event.text.startswith("starting"):
            raise KeyboardInterrupt

    world.listen = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1"}))
    assert {world.state.resources[d].reason for d in (CHURN, second)} == {"Interrupted"}


def test_a_tenant_stays_while_something_of_it_could_not_be_deleted(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    world.target.before = refusing(world, "remove", OLD)
    removed = graph({"search/rank": "v1"}, removed=frozenset({"fraud"}))
    assert world.apply(removed).verdict is Verdict.FAILED
    assert tenant_id("fraud") in world.target.resources
    assert world.state.resources[tenant_id("fraud")].phase is Phase.DELETING
    world.target.before = lambda verb, resource: None
    assert world.apply(removed).verdict is Verdict.SUCCEEDED
    assert not [r for r in (*world.target.resources, *world.state.resources) if r.tenant == "fraud"]


def test_what_is_slow_to_go_is_asked_until_it_is_gone(world: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks, "REMOVAL_POLL_SECONDS", 0.001)
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.lingers = 3
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.SUCCEEDED
    assert OLD not in world.target.resources


def test_a_removal_is_stuck_only_after_the_drain_time_that_the_variant_itself_was_given(
    world: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "REMOVAL_POLL_SECONDS", 0.001)
    monkeypatch.setattr(walks, "LONGEST_REMOVAL_POLL_SECONDS", 0.001)
    monkeypatch.setattr(walks, "REMOVAL_GRACE_SECONDS", 0.01)
    old = graph({"fraud/churn": "v1"})
    object.__setattr__(old.variants[OLD], "drain_seconds", 0.05)
    world.apply(old)
    world.target.lingers = 50
    assert world.apply(graph({"fraud/churn": "v2"})).verdict is Verdict.SUCCEEDED
    world.target.lingers = sys.maxsize
    world.apply(graph({"fraud/churn": "v3"}))
    record = world.state.resources[CHURN]
    assert (record.phase, record.reason) == ("Degraded", "StuckRemoval")
    world.target.lingers = 0
    world.target._asked.clear()
    world.apply(graph({"fraud/churn": "v3"}))
    assert world.phase(CHURN) == "Ready"
    assert [r for r in world.target.resources if r.kind is Kind.VARIANT] == [
        variant("fraud", "churn", version("fraud", "churn", "v3")).id
    ]


def test_a_new_version_starts_as_large_as_the_old_one_and_then_takes_its_own_size(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}, replicas=4))
    sizes: list[tuple[str, int | None]] = []
    ensure = world.target.ensure

    def seen(desired: DesiredTenant | DesiredVariant, replicas: int | None = None) -> None:
        sizes.append((str(desired.id), replicas))
        ensure(desired, replicas)

    world.target.ensure = seen  # type: ignore[method-assign]
    desired = graph({"fraud/churn": "v2"})
    object.__setattr__(desired.variants[NEW].replicas, "max", 5)
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert sizes == [(str(NEW), 4), (str(NEW), None)]
    assert world.target.variant(NEW).running == 1


def test_a_spec_that_goes_while_its_rollout_is_half_done_takes_all_of_it_along(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/keep": "v1"}))
    world.listen = lambda event: interrupt_at(event, "waiting until")
    with pytest.raises(KeyboardInterrupt):
        world.apply(graph({"fraud/churn": "v2", "fraud/keep": "v1"}))
    world.listen = lambda event: None
    assert {OLD, NEW} <= world.target.resources.keys()
    assert world.apply(graph({"fraud/keep": "v1"})).verdict is Verdict.SUCCEEDED
    gone: set[ResourceId] = {CHURN, OLD, NEW}
    assert not gone & (world.target.resources.keys() | world.state.resources.keys())


def test_a_variant_whose_content_is_unchanged_is_kept_when_traffic_is_split(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.calls.clear()
    split = graph({"fraud/churn": {"v1": 90, "v2": 10}})
    assert {str(c.id): c.action for c in world.plan(split).work(Kind.VARIANT)} == {str(NEW): Action.CREATE}
    world.apply(split)
    assert world.target.calls == [("ensure", str(NEW)), ("route", str(CHURN))]
