"""Group commit of the state file during one round: one write at a time; the next one holds
everything that finished meanwhile. Used by `engine/`, whose coordinator calls it; a thread of its own writes.

Every write is of the whole file, so their number has to be bounded or the bytes would grow with the square
of the plan: a write waits until a fixed share of the round's resources has changed, or until a delay that
doubles each time has passed. What a crash or a full disk can lose is only how things went; the claims, without
which something could leak, are written before anything is created. So a write that fails stops no walk: the last
one, which holds everything, decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from reconciler.model.resources import ResourceId
from reconciler.state.file import StateFile
from reconciler.state.model import HISTORY_LENGTH, Record, RoundRecord, State, StateError

WRITES_PER_ROUND = 32  # about this many for progress alone
FIRST_DELAY = 1.0  # seconds that a change waits at most, at first


class Recorder:
    """Holds the current state and gets it to disk. All methods may be called from any thread."""

    def __init__(self, file: StateFile, state: State, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._state = state
        self._resources = dict(state.resources)
        self._monotonic = monotonic
        self._pending = 0
        self._threshold = 1
        self._delay = FIRST_DELAY
        self._last_write = monotonic()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> State:
        with self._changed:
            return replace(self._state, resources=dict(self._resources))

    def record(self, resource: ResourceId) -> Record | None:
        with self._changed:
            return self._resources.get(resource)

    def begin(self, claims: Mapping[ResourceId, Record], leftovers: Iterable[ResourceId] = ()) -> None:
        """Writes, before it returns, every id that the round may create. Until `finish` nobody else writes the file.
        StateError when it can't be written, or was since it was loaded: then nothing may be done."""
        with self._changed:
            self._file.acquire(self._state)
            for resource in leftovers:
                self._resources.pop(resource, None)
            self._resources.update(claims)
            self._threshold = max(1, len(self._resources) // WRITES_PER_ROUND)
            try:
                self._file.save(self._snapshot())
            except BaseException:
                self._file.release()
                raise
        self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)
        self._thread.start()

    def update(self, resource: ResourceId, record: Record) -> None:
        with self._changed:
            self._resources[resource] = record
            self._note()

    def forget(self, resource: ResourceId) -> None:
        with self._changed:
            self._resources.pop(resource, None)
            self._note()

    def finish(self, round_record: RoundRecord) -> State:
        """Writes what is outstanding and the round's own record. StateError when it can't."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        try:
            with self._changed:
                self._state = replace(self._state, rounds=(*self._state.rounds, round_record)[-HISTORY_LENGTH:])
                self._file.save(self._snapshot())
        except StateError as error:
            raise StateError(
                error.summary,
                f"{error.detail} What runs is as this round left it, and claimed; the next round records how it is.",
            ) from error
        finally:
            self._file.release()
        return self.state

    def _note(self) -> None:
        self._pending += 1
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._is_due():
                    self._changed.wait(self._wait_time())
                if self._closing:
                    return
                snapshot = self._snapshot()
            with suppress(StateError):  # `finish` tries again and tells
                self._file.save(snapshot)  # without the lock: the next write holds what finishes meanwhile

    def _is_due(self) -> bool:
        if self._pending >= self._threshold:
            return True
        if self._pending and self._monotonic() - self._last_write >= self._delay:
            self._delay *= 2
            return True
        return False

    def _wait_time(self) -> float | None:
        if not self._pending:
            return None
        return max(0.01, self._last_write + self._delay - self._monotonic())

    def _snapshot(self) -> State:
        self._pending = 0
        self._last_write = self._monotonic()
        self._state = replace(self._state, serial=self._state.serial + 1, resources=dict(self._resources))
        return self._state
