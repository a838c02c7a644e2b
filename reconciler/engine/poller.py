"""One thread that polls the readiness of every variant that a walk waits for, in a single call.

In: walks and the variants that each waits for. Out: a walk's wait has ended, because all of its variants are ready or
one has failed. Used by `scheduler.py`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass

from reconciler.model.resources import ResourceId
from reconciler.targets.protocol import Readiness, ReadinessState
from specs.errors import KubeServeError

POLL_SECONDS = 0.1  # between two looks at everything that waits

Look = Callable[[Collection[ResourceId]], Mapping[ResourceId, Readiness]]


@dataclass(slots=True)
class _Waiting:
    variants: tuple[ResourceId, ...]
    token: int
    seen: Mapping[ResourceId, Readiness]


class ReadinessPoller:
    """`done` is called, from its thread or from that of `expire`, with the key of each wait that has ended and what was
    seen last."""

    def __init__(self, done: Callable[[Hashable, Mapping[ResourceId, Readiness]], None]) -> None:
        self._done = done
        self._waiting: dict[Hashable, _Waiting] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._tokens = itertools.count()

    def start(self, look: Look) -> None:
        threading.Thread(target=self._run, args=(look,), name="readiness-poller", daemon=True).start()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def add(self, key: Hashable, variants: tuple[ResourceId, ...]) -> int:
        token = next(self._tokens)
        with self._lock:
            self._waiting[key] = _Waiting(variants, token, {})
        self._wake.set()
        return token

    def expire(self, key: Hashable, token: int) -> None:
        """The time of one wait is over: it ends with what was seen last, unless it has ended before."""
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

    def _ask(self, look: Look, waiting: Mapping[Hashable, _Waiting]) -> Mapping[ResourceId, Readiness]:
        variants = {variant for wait in waiting.values() for variant in wait.variants}
        try:
            return look(variants)
        except KubeServeError as error:  # an unreachable target ends no wait: each has its own time limit
            cause = error.sentence
        except Exception as error:  # a bug must not end this thread: every walk waits for it
            cause = f"{type(error).__name__}: {error}"
        return dict.fromkeys(variants, Readiness(ReadinessState.WAITING, cause))

    def _settle(self, waiting: Mapping[Hashable, _Waiting], seen: Mapping[ResourceId, Readiness]) -> None:
        for key, wait in waiting.items():
            wait.seen = {variant: seen[variant] for variant in wait.variants if variant in seen}
            states = [readiness.state for readiness in wait.seen.values()]
            failed = ReadinessState.FAILED in states
            ready = len(states) == len(wait.variants) and set(states) <= {ReadinessState.READY}
            if failed or ready:
                self._finish(key, wait)

    def _finish(self, key: Hashable, wait: _Waiting) -> None:
        with self._lock:
            if self._waiting.get(key) is not wait:
                return
            del self._waiting[key]
        self._done(key, wait.seen)
