"""The scheduler's laws: walks that wait hold no worker, and each walk's failure is its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping

import pytest

from reconciler.engine.scheduler import Call, Interrupted, Join, Pause, Ready, Scheduler, Walk
from reconciler.targets.protocol import Readiness, ReadinessState
from specs.errors import KubeServeError

READY = Readiness(ReadinessState.READY)
WAITING = Readiness(ReadinessState.WAITING, "loading")
FAILED = Readiness(ReadinessState.FAILED, "crashed")


def everything_ready(handles: Collection[str]) -> Mapping[str, Readiness]:
    return dict.fromkeys(handles, READY)


def test_a_call_answers_its_walk() -> None:
    seen: list[int] = []

    def walk() -> Walk:
        seen.append((yield Call(lambda: 6 * 7)))

    scheduler = Scheduler(everything_ready, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen == [42]


def test_an_error_of_a_call_is_raised_inside_its_walk() -> None:
    caught: list[str] = []

    def fail() -> None:
        raise KubeServeError("no")

    def walk() -> Walk:
        try:
            yield Call(fail)
        except KubeServeError as error:
            caught.append(error.summary)

    scheduler = Scheduler(everything_ready, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert caught == ["no"]


def test_a_walk_that_fails_stops_only_itself_and_tells_who_joins_it() -> None:
    ended: list[str] = []

    def failing() -> Walk:
        yield Pause(0)
        raise KubeServeError("broken")

    def joining() -> Walk:
        errors = yield Join(("bad", "good"))
        ended.append(f"{errors['bad']} {errors['good']}")

    def good() -> Walk:
        yield Call(lambda: None)

    scheduler = Scheduler(everything_ready, workers=2)
    for key, walk in (("joiner", joining()), ("bad", failing()), ("good", good())):
        scheduler.spawn(key, walk)
    scheduler.run()
    assert ended == ["broken None"]


def test_joining_what_has_ended_or_never_was_goes_on_at_once() -> None:
    ended = []

    def walk() -> Walk:
        ended.append((yield Join(("nobody",))))

    scheduler = Scheduler(everything_ready, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert ended == [{"nobody": None}]


def test_fifty_walks_that_never_get_ready_hold_no_worker() -> None:
    """With a pool of 8, the fifty-first does its calls and ends while all fifty still wait."""
    order: list[str] = []
    release = threading.Event()

    def look(handles: Collection[str]) -> Mapping[str, Readiness]:
        return {h: READY if h == "good" or release.is_set() else WAITING for h in handles}

    def stuck(name: str) -> Walk:
        yield Call(lambda: None)
        yield Ready((name,), 600)
        order.append(name)

    def good() -> Walk:
        for _ in range(20):
            yield Call(lambda: None)
        yield Ready(("good",), 600)
        order.append("good")
        yield Call(release.set)

    scheduler = Scheduler(look, workers=8)
    for number in range(50):
        scheduler.spawn(number, stuck(f"stuck-{number}"))
    scheduler.spawn("good", good())
    scheduler.run()
    assert order[0] == "good"
    assert len(order) == 51


def test_waiting_ends_with_the_first_failure() -> None:
    seen: list[Mapping[str, Readiness]] = []

    def walk() -> Walk:
        seen.append((yield Ready(("slow", "bad"), 600)))

    scheduler = Scheduler(lambda handles: {"slow": WAITING, "bad": FAILED}, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen[0]["bad"].cause == "crashed"


def test_waiting_ends_when_its_time_is_over_and_says_what_was_seen_last() -> None:
    seen: list[Mapping[str, Readiness]] = []

    def walk() -> Walk:
        seen.append((yield Ready(("slow",), 0.3)))

    scheduler = Scheduler(lambda handles: {"slow": WAITING}, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen == [{"slow": WAITING}]


def test_a_target_that_is_away_for_a_moment_fails_nobody() -> None:
    calls: Iterator[KubeServeError | Readiness] = iter([KubeServeError("away"), READY])
    seen: list[Mapping[str, Readiness]] = []

    def look(handles: Collection[str]) -> Mapping[str, Readiness]:
        answer = next(calls)
        if isinstance(answer, KubeServeError):
            raise answer
        return dict.fromkeys(handles, answer)

    def walk() -> Walk:
        seen.append((yield Ready(("a",), 600)))

    scheduler = Scheduler(look, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen == [{"a": READY}]


def test_an_interrupt_reaches_every_walk_and_is_raised_on() -> None:
    told: list[str] = []

    def waiting(name: str) -> Walk:
        try:
            yield Ready((name,), 600)
        except Interrupted:
            told.append(name)
            raise

    def interrupting() -> Walk:
        yield Pause(0.2)
        raise KeyboardInterrupt

    scheduler = Scheduler(lambda handles: dict.fromkeys(handles, WAITING), workers=1)
    for name in ("a", "b"):
        scheduler.spawn(name, waiting(name))
    scheduler.spawn("c", interrupting())
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    assert sorted(told) == ["a", "b"]
