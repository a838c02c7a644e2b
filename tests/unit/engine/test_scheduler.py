"""The scheduler's laws: walks that wait hold no worker, and each walk's failure is its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping

import pytest

from reconciler.engine.scheduler import Call, Interrupted, Join, Pause, Ready, Scheduler, Walk
from reconciler.model.resources import ResourceId, variant_id
from reconciler.targets.protocol import Readiness, ReadinessState
from specs.errors import KubeServeError

READY = Readiness(ReadinessState.READY)
WAITING = Readiness(ReadinessState.WAITING, "loading")
FAILED = Readiness(ReadinessState.FAILED, "crashed")


def named(name: str) -> ResourceId:
    return variant_id("fraud", name)


def everything_ready(variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
    return dict.fromkeys(variants, READY)


def test_a_call_answers_its_walk() -> None:
    seen: list[int] = []

    def walk() -> Walk:
        seen.append((yield from Call(lambda: 6 * 7)))

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
            yield from Call(fail)
        except KubeServeError as error:
            caught.append(error.summary)

    scheduler = Scheduler(everything_ready, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert caught == ["no"]


def test_a_walk_that_fails_stops_only_itself_and_tells_who_joins_it() -> None:
    ended: list[str] = []

    def failing() -> Walk:
        yield from Pause(0)
        raise KubeServeError("broken")

    def joining() -> Walk:
        errors = yield from Join(("bad", "good"))
        ended.append(f"{errors['bad']} {errors['good']}")

    def good() -> Walk:
        yield from Call(lambda: None)

    scheduler = Scheduler(everything_ready, workers=2)
    for key, walk in (("joiner", joining()), ("bad", failing()), ("good", good())):
        scheduler.spawn(key, walk)
    scheduler.run()
    assert ended == ["broken None"]


def test_joining_what_has_ended_or_never_was_goes_on_at_once() -> None:
    ended = []

    def walk() -> Walk:
        ended.append((yield from Join(("nobody",))))

    scheduler = Scheduler(everything_ready, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert ended == [{"nobody": None}]


def test_fifty_walks_that_never_get_ready_hold_no_worker() -> None:
    """With a pool of 8, the fifty-first does its calls and ends while all fifty still wait."""
    order: list[str] = []
    release = threading.Event()

    def look(variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        return {v: READY if v.name == "good" or release.is_set() else WAITING for v in variants}

    def stuck(name: str) -> Walk:
        yield from Call(lambda: None)
        yield from Ready((named(name),), 600)
        order.append(name)

    def good() -> Walk:
        for _ in range(20):
            yield from Call(lambda: None)
        yield from Ready((named("good"),), 600)
        order.append("good")
        yield from Call(release.set)

    scheduler = Scheduler(look, workers=8)
    for number in range(50):
        scheduler.spawn(number, stuck(f"stuck-{number}"))
    scheduler.spawn("good", good())
    scheduler.run()
    assert order[0] == "good"
    assert len(order) == 51


def test_waiting_ends_with_the_first_failure() -> None:
    seen: list[Mapping[ResourceId, Readiness]] = []

    def walk() -> Walk:
        seen.append((yield from Ready((named("slow"), named("bad")), 600)))

    scheduler = Scheduler(lambda variants: {named("slow"): WAITING, named("bad"): FAILED}, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen[0][named("bad")].cause == "crashed"


def test_waiting_ends_when_its_time_is_over_and_says_what_was_seen_last() -> None:
    seen: list[Mapping[ResourceId, Readiness]] = []

    def walk() -> Walk:
        seen.append((yield from Ready((named("slow"),), 0.3)))

    scheduler = Scheduler(lambda variants: {named("slow"): WAITING}, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen == [{named("slow"): WAITING}]


@pytest.mark.parametrize("trouble", [KubeServeError("away"), ValueError("a bug")])
def test_a_target_that_can_not_look_for_a_moment_fails_nobody(trouble: Exception) -> None:
    calls: Iterator[Exception | Readiness] = iter([trouble, READY])
    seen: list[Mapping[ResourceId, Readiness]] = []

    def look(variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        answer = next(calls)
        if isinstance(answer, Exception):
            raise answer
        return dict.fromkeys(variants, answer)

    def walk() -> Walk:
        seen.append((yield from Ready((named("a"),), 600)))

    scheduler = Scheduler(look, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen == [{named("a"): READY}]


def test_an_interrupt_reaches_every_walk_and_is_raised_on() -> None:
    told: list[str] = []

    def waiting(name: str) -> Walk:
        try:
            yield from Ready((named(name),), 600)
        except Interrupted:
            told.append(name)
            raise

    def interrupting() -> Walk:
        yield from Pause(0.2)
        raise KeyboardInterrupt

    scheduler = Scheduler(lambda variants: dict.fromkeys(variants, WAITING), workers=1)
    for name in ("a", "b"):
        scheduler.spawn(name, waiting(name))
    scheduler.spawn("c", interrupting())
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    assert sorted(told) == ["a", "b"]


def test_a_look_that_hangs_delays_nobody_beyond_his_own_time() -> None:
    release = threading.Event()
    seen: list[Mapping[ResourceId, Readiness]] = []

    def look(variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        release.wait(60)
        return dict.fromkeys(variants, READY)

    def walk() -> Walk:
        seen.append((yield from Ready((named("a"),), 0.2)))
        yield from Call(release.set)

    scheduler = Scheduler(look, workers=1)
    scheduler.spawn("a", walk())
    scheduler.run()
    assert seen == [{}]


def test_a_worker_that_ends_the_process_ends_its_walk_only() -> None:
    ended: list[str] = []

    def leave() -> None:
        raise SystemExit(2)

    def leaving() -> Walk:
        try:
            yield from Call(leave)
        except RuntimeError as error:
            ended.append(str(error))

    def staying() -> Walk:
        yield from Pause(0.05)
        ended.append("stayed")

    scheduler = Scheduler(everything_ready, workers=1)
    scheduler.spawn("a", leaving())
    scheduler.spawn("b", staying())
    scheduler.run()
    assert ended == ["SystemExit: 2", "stayed"]


def test_the_observer_looks_at_what_waits_and_rests_otherwise() -> None:
    looks: list[int] = []

    def look(variants: Collection[ResourceId]) -> Mapping[ResourceId, Readiness]:
        looks.append(len(variants))
        return dict.fromkeys(variants, READY)

    def walk(name: str) -> Walk:
        for _ in range(20):
            yield from Call(lambda: None)
        yield from Ready((named(name),), 600)
        yield from Pause(0.3)

    scheduler = Scheduler(look, workers=4)
    for number in range(100):
        scheduler.spawn(number, walk(str(number)))
    scheduler.run()
    assert sum(looks) < 100 * 100
    assert len(looks) < 100, "one look for all that wait, and none while nobody does"


def test_no_thread_is_left_of_a_round() -> None:
    def walk() -> Walk:
        yield from Call(lambda: None)

    for _ in range(200):  # the observer may be stopped at any moment of its start
        scheduler = Scheduler(everything_ready, workers=1)
        scheduler.spawn("a", walk())
        scheduler.run()
    for thread in threading.enumerate():
        if thread.name == "observer":
            thread.join(30)
            assert not thread.is_alive()


def test_ten_thousand_walks_end_and_leave_nothing_behind() -> None:
    ended: list[int] = []

    def tenant() -> Walk:
        yield from Pause(0)

    def walk(number: int) -> Walk:
        yield from Join(("tenant",))
        yield from Call(lambda: None)
        yield from Ready((named(str(number)),), 600)
        ended.append(number)

    scheduler = Scheduler(everything_ready, workers=8)
    scheduler.spawn("tenant", tenant())
    for number in range(10_000):
        scheduler.spawn(number, walk(number))
    scheduler.run()
    assert sorted(ended) == list(range(10_000))
    left = (scheduler._walks, scheduler._joins, scheduler._joined_by, scheduler._calls)
    assert not any(left)


@pytest.mark.parametrize("moment", range(8))
def test_an_interrupt_at_any_moment_reaches_all_and_ends_the_round_soon(moment: int) -> None:
    """The signal arrives while the main thread is at its n-th step, in a walk or between two."""
    steps = iter(range(1000))
    told: set[int] = set()
    release = threading.Event()

    def step() -> None:
        if next(steps) == moment:
            raise KeyboardInterrupt

    def walk(number: int) -> Walk:
        try:
            step()
            yield from Call(lambda: None)
            step()
            yield from Call(lambda: release.wait(60))  # an upload, which does not notice
        except (Interrupted, KeyboardInterrupt):
            told.add(number)
            raise

    scheduler = Scheduler(everything_ready, workers=4)
    for number in range(4):
        scheduler.spawn(number, walk(number))
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    release.set()
    assert told >= {n for n in range(4) if n <= moment}
