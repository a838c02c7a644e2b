"""Drives many walks at once. A walk is a generator that yields what it waits for and is resumed with the
outcome, so that a deployment's life reads as straight-line code (`walks.py`) and a walk that waits costs
nothing but its place in a dictionary.

One thread, the caller's, resumes every walk: walks need no locks. Calls that may block run in a bounded pool;
what waits to be ready is looked at by `poller.py`.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reconciler.engine.poller import Look, ReadinessPoller
from reconciler.model.resources import ResourceId
from reconciler.targets.protocol import Readiness
from specs.errors import KubeServeError

CANCEL_POLL_SECONDS = 0.1  # at most, until a round that was cancelled notices
INTERRUPTED_SECONDS = 1.0  # that calls get to notice, once the round was asked to stop


class Interrupted(KubeServeError):  # noqa: N818 - no error, an end
    """The round was asked to stop; thrown into every walk that has not ended."""

    code = "interrupted"


T = TypeVar("T")


class Effect(Generic[T]):
    """Something that a walk waits for: `outcome = yield from Call(...)`, as a coroutine awaits."""

    __slots__ = ()

    def __iter__(self) -> Generator[Effect[Any], Any, T]:
        outcome: T = yield self
        return outcome


Steps = Generator[Effect[Any], Any, T]
"""A part of a walk that answers a T."""
Walk = Steps[None]


@dataclass(frozen=True, slots=True)
class Call(Effect[T]):
    """Run this in the pool; the walk gets its result or its exception."""

    function: Callable[[], T]


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    seconds: float


@dataclass(frozen=True, slots=True)
class Join(Effect[Mapping[Hashable, BaseException | None]]):
    """Wait until these walks have ended; the walk gets the error that each of them ended with."""

    keys: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Ready(Effect[Mapping[ResourceId, Readiness]]):
    """Wait until all variants are ready, one has failed, or the time is over; the walk gets what is known."""

    variants: tuple[ResourceId, ...]
    seconds: float


class Scheduler:
    def __init__(self, readiness: Look, workers: int, cancelled: threading.Event | None = None) -> None:
        """`cancelled`: setting it from any thread stops the round; a KeyboardInterrupt sets it, so that calls that
        take long can end early."""
        self._readiness = readiness
        self._cancelled = cancelled or threading.Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._calls: set[Future[None]] = set()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._walks: dict[Hashable, Walk] = {}
        self._ended: dict[Hashable, BaseException | None] = {}
        self._joins: dict[Hashable, tuple[set[Hashable], Join]] = {}
        self._joined_by: dict[Hashable, list[Hashable]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._poller = ReadinessPoller(self._looked)
        self._stopping = False

    def spawn(self, key: Hashable, walk: Walk) -> None:
        """Adds a walk; it starts with `run`."""
        self._walks[key] = walk
        self._inbox.put(lambda: self._resume(key))

    def run(self) -> None:
        """Until every walk has ended.

        When `cancelled` was set, or on KeyboardInterrupt: throws Interrupted into every walk, gives running calls a
        moment to end, and raises Interrupted or the KeyboardInterrupt. A call may still be running then: see `wait`.
        """
        try:
            self._poller.start(self._readiness)
            self._loop()
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._poller.stop()
            self._pool.shutdown(wait=not self._stopping, cancel_futures=True)

    def wait(self) -> None:
        """Until no call is running, so that the caller may give the target's lock back."""
        self._pool.shutdown(wait=True)

    def _loop(self) -> None:
        while self._walks:
            if self._cancelled.is_set():
                raise Interrupted("Interrupted")
            timeout = CANCEL_POLL_SECONDS
            if self._timers:
                timeout = min(timeout, max(0.0, self._timers[0][0] - time.monotonic()))
            with suppress(queue.Empty):
                self._inbox.get(timeout=timeout)()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def _interrupt(self) -> None:
        self._stopping = True
        self._cancelled.set()
        for key in list(self._walks):
            self._resume(key, error=Interrupted("Interrupted"))
        self._walks.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait_for(set(self._calls), INTERRUPTED_SECONDS)

    def _resume(self, key: Hashable, value: Any = None, error: BaseException | None = None) -> None:
        walk = self._walks.get(key)
        if walk is None:
            return
        try:
            effect = walk.send(value) if error is None else walk.throw(error)
        except StopIteration:
            self._end(key, None)
        except Exception as failure:
            self._end(key, failure)
        else:
            if self._stopping:
                walk.close()
            else:
                self._start(key, effect)

    def _end(self, key: Hashable, error: BaseException | None) -> None:
        self._walks.pop(key, None)
        self._ended[key] = error
        if self._stopping:  # every waiting walk gets the interruption itself
            return
        for waiting in self._joined_by.pop(key, ()):
            outstanding, join = self._joins[waiting]
            outstanding.discard(key)
            if not outstanding:
                self._resume_joined(waiting, join)

    def _start(self, key: Hashable, effect: Effect[Any]) -> None:
        match effect:
            case Call():
                call = self._pool.submit(self._perform, key, effect.function)
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
            case Pause():
                self._later(effect.seconds, lambda: self._resume(key))
            case Join():
                self._join(key, effect)
            case Ready():
                token = self._poller.add(key, effect.variants)
                self._later(effect.seconds, lambda: self._poller.expire(key, token))

    def _perform(self, key: Hashable, function: Callable[[], Any]) -> None:
        try:
            value = function()
        except Exception as error:
            failure = error  # the name is unbound when the clause ends
            self._inbox.put(lambda: self._resume(key, error=failure))
        except BaseException as error:  # a library that calls sys.exit ends its walk, not the round
            ending = RuntimeError(f"{type(error).__name__}: {error}")
            self._inbox.put(lambda: self._resume(key, error=ending))
        else:
            self._inbox.put(lambda: self._resume(key, value))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), action))

    def _join(self, key: Hashable, join: Join) -> None:
        outstanding = {k for k in join.keys if k in self._walks}
        if not outstanding:
            self._inbox.put(lambda: self._resume_joined(key, join))
            return
        self._joins[key] = (outstanding, join)
        for k in outstanding:
            self._joined_by.setdefault(k, []).append(key)

    def _resume_joined(self, key: Hashable, join: Join) -> None:
        self._joins.pop(key, None)
        self._resume(key, {k: self._ended.get(k) for k in join.keys})

    def _looked(self, key: Hashable, seen: Mapping[ResourceId, Readiness]) -> None:
        self._inbox.put(lambda: self._resume(key, seen))
