"""Drives many walks at once. A walk is a generator that yields what it waits for and is resumed with the
outcome, so that a deployment's life reads as straight-line code (`walks.py`) and a walk that waits costs
nothing but its place in a dictionary.

One thread, the caller's, resumes every walk: walks need no locks. Calls that may block run in a bounded pool;
one observer thread asks for the readiness of everything that waits, in a single call.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Collection, Generator, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from reconciler.targets.protocol import Readiness, ReadinessState
from specs.errors import KubeServeError

POLL_SECONDS = 0.1  # between two looks at everything that waits
INTERRUPTED_SECONDS = 1.0  # that calls get to notice, once the round was asked to stop


class Interrupted(KubeServeError):  # noqa: N818 - no error, an end
    """The round was asked to stop; thrown into every walk that has not ended."""

    code = "interrupted"


@dataclass(frozen=True, slots=True)
class Call:
    """Run this in the pool; the walk gets its result or its exception."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Join:
    """Wait until these walks have ended; the walk gets the error that each of them ended with."""

    keys: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """Wait until all handles are ready, one has failed, or the time is over; the walk gets what is known."""

    handles: tuple[str, ...]
    seconds: float


Effect = Call | Pause | Join | Ready
Walk = Generator[Effect, Any, None]
Look = Callable[[Collection[str]], Mapping[str, Readiness]]


class Scheduler:
    def __init__(self, readiness: Look, workers: int, cancelled: threading.Event | None = None) -> None:
        """`cancelled` is set when the round is interrupted: for calls that take long, to end early."""
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
        self._watch = _Watch(self._looked)
        self._stopping = False

    def spawn(self, key: Hashable, walk: Walk) -> None:
        """Adds a walk; it starts with `run`."""
        self._walks[key] = walk
        self._inbox.put(lambda: self._resume(key))

    def run(self) -> None:
        """Until every walk has ended. On KeyboardInterrupt: throws Interrupted into all, gives running calls a moment
        to end, then raises it. What has not ended by then goes on until the process ends."""
        try:
            self._watch.start(self._readiness)
            self._loop()
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._watch.stop()
            self._pool.shutdown(wait=not self._stopping, cancel_futures=True)

    def _loop(self) -> None:
        while self._walks:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
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
        wait_for(self._calls, INTERRUPTED_SECONDS)

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
        if self._stopping:  # who waits for this walk is told of the interruption itself
            return
        for waiting in self._joined_by.pop(key, ()):
            outstanding, join = self._joins[waiting]
            outstanding.discard(key)
            if not outstanding:
                self._resume_joined(waiting, join)

    def _start(self, key: Hashable, effect: Effect) -> None:
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
                token = self._watch.add(key, effect.handles)
                self._later(effect.seconds, lambda: self._watch.expire(key, token))

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

    def _looked(self, key: Hashable, seen: Mapping[str, Readiness]) -> None:
        self._inbox.put(lambda: self._resume(key, seen))


@dataclass(slots=True)
class _Waiting:
    handles: tuple[str, ...]
    token: int
    seen: Mapping[str, Readiness]


class _Watch:
    """The observer: one thread that looks at everything that waits, all at once."""

    def __init__(self, done: Callable[[Hashable, Mapping[str, Readiness]], None]) -> None:
        self._done = done
        self._waiting: dict[Hashable, _Waiting] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._tokens = itertools.count()

    def start(self, look: Look) -> None:
        threading.Thread(target=self._run, args=(look,), name="observer", daemon=True).start()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def add(self, key: Hashable, handles: tuple[str, ...]) -> int:
        token = next(self._tokens)
        with self._lock:
            self._waiting[key] = _Waiting(handles, token, {})
        self._wake.set()
        return token

    def expire(self, key: Hashable, token: int) -> None:
        """The time of one wait is over: it gets what was seen last, unless it has ended before."""
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None or waiting.token != token:
                return
            del self._waiting[key]
        self._done(key, waiting.seen)

    def _run(self, look: Look) -> None:
        while True:
            self._wake.clear()
            if self._stopped:  # after clearing: a stop that was cleared is seen here
                return
            with self._lock:
                waiting = dict(self._waiting)
            if waiting:
                self._settle(waiting, self._ask(look, waiting))
                time.sleep(POLL_SECONDS)
            else:
                self._wake.wait()

    def _ask(self, look: Look, waiting: Mapping[Hashable, _Waiting]) -> Mapping[str, Readiness]:
        handles = {handle for wait in waiting.values() for handle in wait.handles}
        try:
            return look(handles)
        except KubeServeError as error:  # a target that is away for a moment: the waits' own times decide
            cause = error.summary
        except Exception as error:  # a bug must not end the observer, for which everything waits
            cause = f"{type(error).__name__}: {error}"
        return dict.fromkeys(handles, Readiness(ReadinessState.WAITING, cause))

    def _settle(self, waiting: Mapping[Hashable, _Waiting], seen: Mapping[str, Readiness]) -> None:
        for key, wait in waiting.items():
            wait.seen = {handle: seen[handle] for handle in wait.handles if handle in seen}
            states = [readiness.state for readiness in wait.seen.values()]
            failed = ReadinessState.FAILED in states
            ready = len(states) == len(wait.handles) and set(states) <= {ReadinessState.READY}
            if failed or ready:
                self._finish(key, wait)

    def _finish(self, key: Hashable, wait: _Waiting) -> None:
        with self._lock:
            if self._waiting.get(key) is not wait:
                return
            del self._waiting[key]
        self._done(key, wait.seen)
