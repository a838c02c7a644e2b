"""A request's body goes in, the answer's body comes out; the model is called in between, in one of a few threads.

Called by `app.py` for every prediction. The event loop only passes bytes on, so that /health answers whatever
the model does.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

from runtime.errors import RequestFault
from runtime.loaders.predictor import Predictor
from runtime.server.inputs import matrix, parse
from runtime.server.outputs import encode
from runtime.settings import Limits

_log = logging.getLogger("runtime")
_MAX_QUOTE = 300


class Inference:
    def __init__(self, limits: Limits) -> None:
        self._seconds = limits.request_seconds
        self._threads = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="predict")
        self._places = BoundedSemaphore(limits.concurrency + limits.queue)

    async def ask(self, predictor: Predictor, body: bytes) -> bytes:
        """The answer to a body, or RequestFault: 400 bad inputs, 500 a model that fails, 503 too many wait,
        504 it took too long. A call that took too long can't be stopped: it holds its thread until it ends."""
        if not self._places.acquire(blocking=False):
            raise RequestFault(503, "busy", "Too many requests are waiting; ask again later.")
        work = self._threads.submit(answer, predictor, body)
        work.add_done_callback(lambda _: self._places.release())
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            message = f"There was no answer within {self._seconds:g} s."
            raise RequestFault(504, "timeout", message) from None


def answer(predictor: Predictor, body: bytes) -> bytes:
    """The answer's body. RequestFault as above."""
    inputs = parse(body)
    rows = matrix(inputs, predictor.n_features) if predictor.numeric else inputs
    count = len(inputs)
    try:
        predictions = predictor.predict(rows)
        return encode(predictions, count)
    except RequestFault:
        raise
    except BaseException as error:  # a model that calls sys.exit() must not end the server
        _log.exception("The model failed")
        message = f"The model raised {type(error).__name__}: {error}"[:_MAX_QUOTE]
        raise RequestFault(500, "model_failed", message) from None
