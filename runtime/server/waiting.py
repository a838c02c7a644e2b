"""Bounds what waits: the number of requests, and the bytes of their bodies from the first byte received to the answer.

`app.py` reads every body by `read_body`; `inference.py` gives its bytes back when the model has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from threading import Lock

from starlette.requests import ClientDisconnect

from runtime.errors import RequestFault
from runtime.settings import Limits

_DROPPED_FACTOR = 4
"""A refused body is read on and dropped, up to this many times the limit, because a client that is still sending when
its connection closes sees a network error instead of the answer."""


class WaitingRoom:
    """Shared by the event loop, which takes bytes and places, and the threads of the model, which give them back."""

    def __init__(self, limits: Limits) -> None:
        self._lock = Lock()
        self._bytes = limits.waiting_bytes
        self._places = limits.concurrency + limits.queue

    def take(self, size: int) -> bool:
        """Holds `size` more bytes, unless that would exceed the limit: then False."""
        with self._lock:
            if size > self._bytes:
                return False
            self._bytes -= size
            return True

    def give(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def enter(self) -> None:
        """Takes a place. RequestFault 503 when there is none."""
        with self._lock:
            if not self._places:
                raise _busy("Too many requests are waiting")
            self._places -= 1

    def leave(self, size: int) -> None:
        """Gives back a place and the bytes of its request."""
        with self._lock:
            self._places += 1
            self._bytes += size


async def read_body(stream: AsyncIterator[bytes], limits: Limits, room: WaitingRoom) -> bytes:
    """A request's body, whose bytes the room holds from now on. RequestFault 408, 413 or 503, and 400 for a client that
    went away; then the room holds none of them."""
    body = _Body(limits, room)
    try:
        async with asyncio.timeout(limits.request_seconds):
            async for chunk in stream:
                if not body.add(chunk):
                    break
    except TimeoutError:
        body.refuse(RequestFault(408, "body_timeout", "The request's body did not arrive in time."))
    except ClientDisconnect:
        body.refuse(RequestFault(400, "disconnected", "The client went away."))
    except BaseException:
        body.drop()
        raise
    if body.refusal:
        raise body.refusal
    return b"".join(body.chunks)


class _Body:
    def __init__(self, limits: Limits, room: WaitingRoom) -> None:
        self.chunks: list[bytes] = []
        self.refusal: RequestFault | None = None
        self._limit = limits.body_bytes
        self._room = room
        self._received = 0
        self._held = 0

    def add(self, chunk: bytes) -> bool:
        """Whether to read on."""
        size = len(chunk)
        self._received += size
        if self.refusal is None:
            if self._received > self._limit:
                message = f"The body is larger than {self._limit} bytes."
                self.refuse(RequestFault(413, "too_large", message, limit=self._limit))
            elif self._room.take(size):
                self._held += size
                self.chunks.append(chunk)
            else:
                self.refuse(_busy("The bodies of waiting requests take up all the memory for them"))
        return self._received <= self._limit * _DROPPED_FACTOR

    def refuse(self, refusal: RequestFault) -> None:
        self.drop()
        self.refusal = refusal

    def drop(self) -> None:
        self._room.give(self._held)
        self._held = 0
        self.chunks.clear()


def _busy(cause: str) -> RequestFault:
    return RequestFault(503, "busy", f"{cause}; ask again later.")
