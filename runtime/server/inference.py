"""A request's body goes in, the answer's body comes out; the model is called in between, in one of a few threads.

`app.py` calls it for every prediction. The event loop only passes bytes on, so that /health answers whatever the model
does.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import get_ident
from time import monotonic

from runtime.errors import RequestFault
from runtime.loaders.predictor import Predictor
from runtime.server.inputs import matrix, parse, refuse_depth
from runtime.server.outputs import encode
from runtime.server.waiting import WaitingRoom
from runtime.settings import Limits

_log = logging.getLogger("runtime")
_MAX_QUOTE = 300


@dataclass(frozen=True, slots=True)
class Call:
    thread: int
    started: float  # of the monotonic clock


class Calls:
    """The calls that are running now. Threads write it and the event loop reads it; each step is atomic."""

    def __init__(self) -> None:
        self._running: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self) -> None:
        self._running[get_ident()] = monotonic()

    def end(self) -> None:
        del self._running[get_ident()]

    def longest(self) -> Call | None:
        running = tuple(self._running.items())
        return Call(*min(running, key=lambda item: item[1])) if running else None

    def any_since(self, moment: float) -> bool:
        return any(started >= moment for started in tuple(self._running.values()))


class Inference:
    def __init__(self, limits: Limits, room: WaitingRoom) -> None:
        self.calls = Calls()
        self._limits = limits
        self._room = room
        self._threads = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="predict")

    @property
    def is_free(self) -> bool:
        """Whether a request would find a free thread."""
        return len(self.calls) < self._limits.concurrency

    async def ask(self, predictor: Predictor, body: bytes) -> bytes:
        """The answer to a body, for which the room holds bytes: gives them back. RequestFault: 400 bad inputs, 500 a
        model that fails, 503 too many wait, 504 it took too long. A call that took too long can't be stopped: it keeps
        its thread until it ends."""
        size = len(body)
        try:
            self._room.enter()
        except RequestFault:
            self._room.give(size)
            raise
        work = self._threads.submit(self._call, predictor, body)
        work.add_done_callback(lambda _: self._room.leave(size))
        seconds = self._limits.request_seconds
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            raise RequestFault(504, "timeout", f"There was no answer within {seconds:g} s.") from None

    def _call(self, predictor: Predictor, body: bytes) -> bytes:
        self.calls.start()
        try:
            return answer(predictor, body, self._limits.values)
        finally:
            self.calls.end()


def answer(predictor: Predictor, body: bytes, max_values: int) -> bytes:
    """The answer's body. RequestFault as above."""
    inputs = parse(body, max_values)
    count = len(inputs)
    if predictor.numeric:
        rows = matrix(inputs, predictor.n_features)
    else:
        refuse_depth(inputs)
        rows = inputs
    try:
        return encode(predictor.predict(rows), count)
    except RequestFault:
        raise
    except BaseException as error:  # a model that calls sys.exit() must not end the server
        _log.exception("The model failed")
        message = f"The model raised {type(error).__name__}: {error}"[:_MAX_QUOTE]
        raise RequestFault(500, "model_failed", message) from None
