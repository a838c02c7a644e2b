"""A round that another thread cancels: it ends soon, what it did is recorded, and the next round goes on from there."""

from __future__ import annotations

import threading

from reconciler.model.resources import deployment_id, tenant_id
from reconciler.state.model import Verdict
from reconciler.targets.protocol import Readiness, ReadinessState
from tests.support.engine.graphs import graph
from tests.support.engine.memory_target import MemoryTarget
from tests.support.engine.rounds import Sandbox

CHURN = deployment_id("fraud", "churn")
LOADING = Readiness(ReadinessState.WAITING, "loading")


def cancel_when(world: Sandbox, text: str) -> threading.Thread:
    """From a thread of its own, once an event says `text`."""
    seen = threading.Event()
    world.listen = lambda event: seen.set() if event.text.startswith(text) else None

    cancelled = world.cancelled

    def cancel() -> None:
        seen.wait(30)
        cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    return thread


def test_a_round_that_waits_ends_when_another_thread_cancels_it_and_the_next_one_converges(world: Sandbox) -> None:
    world.target.behaviour = lambda variant: LOADING
    desired = graph({"fraud/churn": "v1"})
    canceller = cancel_when(world, "waiting until")
    outcome = world.apply(desired)
    canceller.join()
    assert outcome.verdict is Verdict.INTERRUPTED
    state = world.state
    assert state.rounds[-1].outcome is Verdict.INTERRUPTED
    assert (state.resources[CHURN].phase, state.resources[CHURN].reason) == ("Progressing", "Interrupted")
    assert set(desired.variants) <= set(state.resources), "what was started stays claimed"

    world.target.behaviour = MemoryTarget().behaviour
    for variant in desired.variants:
        world.target.revive(variant)
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert world.plan(desired).is_empty
    assert world.phase(CHURN) == "Ready"


def test_what_served_goes_on_when_its_replacement_is_cancelled(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    serving = dict(world.target.routed(CHURN).weights)
    world.target.behaviour = lambda variant: LOADING
    canceller = cancel_when(world, "waiting until")
    world.apply(graph({"fraud/churn": "v2"}))
    canceller.join()
    assert dict(world.target.routed(CHURN).weights) == serving


def test_a_cancelled_round_has_no_call_under_way_when_it_returns(world: Sandbox) -> None:
    """Its caller gives the target's lock back, and another round may begin."""
    started, cancelled = threading.Event(), world.cancelled
    under_way: list[str] = []

    def slow(verb: str, resource: str) -> None:
        if resource == str(tenant_id("fraud")):
            under_way.append(resource)
            started.set()
            cancelled.wait(30)
            threading.Event().wait(1.5)  # longer than an interrupted command waits
            under_way.remove(resource)

    world.target.before = slow

    def cancel() -> None:
        started.wait(30)
        cancelled.set()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    assert world.apply(graph({"fraud/churn": "v1"})).verdict is Verdict.INTERRUPTED
    assert under_way == []
    canceller.join()


def test_a_round_that_is_cancelled_before_it_begins_creates_nothing(world: Sandbox) -> None:
    world.cancelled.set()
    assert world.apply(graph({"fraud/churn": "v1"})).verdict is Verdict.INTERRUPTED
    assert world.target.calls == []


def test_every_event_record_and_claim_of_a_round_carries_its_id(world: Sandbox) -> None:
    claims: list[str] = []
    world.target.before = lambda verb, resource: claims.extend(r.round for r in world.state.resources.values())
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    (round_record,) = world.state.rounds
    assert {event.round for event in world.events} == {round_record.id}
    assert {record.round for record in world.state.resources.values()} == {round_record.id}
    assert set(claims) == {round_record.id}
    times = [event.time for event in world.events]
    assert times == sorted(times)
    assert times[0].tzinfo is not None
