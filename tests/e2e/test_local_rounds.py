"""Rounds that a program runs, without the command line: what it agrees to, hears, and cancels from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from reconciler.engine.execute import Outcome
from reconciler.engine.run import Event
from reconciler.model.resources import deployment_id
from reconciler.plan.inputs import PlanOptions
from reconciler.reconcile import Planned, RoundOptions, run_round
from reconciler.state.model import Verdict
from reconciler.targets.ownership import LockHeldError
from reconciler.workspace import Request, open_workspace
from tests.support.cli.desk import SLEEPS, Desk

SLOW = deployment_id("demo", "slow")
OPTIONS = RoundOptions(PlanOptions(), "a program")


def round_of(
    desk: Desk,
    *,
    agree: Callable[[Planned], bool] = lambda planned: True,
    listen: Callable[[Event], None] = lambda event: None,
    cancel: threading.Event | None = None,
) -> Outcome | None:
    with open_workspace(Request(source=str(desk.folder))) as workspace:
        return run_round(workspace, OPTIONS, agree=agree, listen=listen, cancel=cancel or threading.Event())


def test_a_round_is_cancelled_from_another_thread_while_it_waits_and_the_next_one_converges(desk: Desk) -> None:
    desk.predictor("v1", SLEEPS)
    desk.spec({"slow": "v1", "good": "v2"}, ["v1", "v2"])
    waits, cancel = threading.Event(), threading.Event()

    def listen(event: Event) -> None:
        if event.resource == SLOW and event.text.startswith("waiting until"):
            waits.set()

    def cancel_then() -> None:
        waits.wait(60)
        cancel.set()

    canceller = threading.Thread(target=cancel_then)
    canceller.start()
    outcome = round_of(desk, listen=listen, cancel=cancel)
    canceller.join()
    assert outcome is not None
    assert outcome.verdict is Verdict.INTERRUPTED
    assert desk.state["rounds"][-1]["outcome"] == "interrupted"
    slow = desk.status("slow")
    assert (slow["phase"], slow["reason"]) == ("Progressing", "Interrupted")
    claimed = {name.rpartition("/")[2] for name in desk.state["resources"] if name.startswith("variant/")}
    assert {variant["name"] for variant in slow["variants"]} <= claimed, "what it started is claimed"

    desk.spec({"slow": "v2", "good": "v2"}, ["v1", "v2"])
    outcome = round_of(desk)
    assert outcome is not None
    assert outcome.verdict is Verdict.SUCCEEDED
    assert desk.ask("slow") == ["v2"]
    assert len(desk.servers()) == 2
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_a_plan_that_is_not_agreed_to_changes_nothing_and_gives_the_lock_back(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    plans: list[Planned] = []

    def refuse(planned: Planned) -> bool:
        plans.append(planned)
        with pytest.raises(LockHeldError):
            round_of(desk)  # what is agreed to is what is done: nobody else writes meanwhile
        return False

    assert round_of(desk, agree=refuse) is None
    assert not plans[0].plan.is_empty
    assert not (desk.home / "state.json").exists()
    assert not desk.processes()
    desk.apply()
    assert desk.ask("d") == ["v1"]


def test_a_round_that_is_cancelled_before_its_plan_is_agreed_to_does_not_ask(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    cancel = threading.Event()
    cancel.set()

    def never(planned: Planned) -> bool:
        raise AssertionError("it was asked")

    assert round_of(desk, agree=never, cancel=cancel) is None
    assert not desk.processes()


def test_events_and_records_name_the_round_that_the_plan_was_made_in(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    plans: list[Planned] = []
    events: list[Event] = []

    def agree(planned: Planned) -> bool:
        plans.append(planned)
        return True

    round_of(desk, agree=agree, listen=events.append)
    assert {event.round for event in events} == {plans[0].round}
    assert desk.state["rounds"][-1]["id"] == plans[0].round
    assert {record["round"] for record in desk.state["resources"].values()} == {plans[0].round}
