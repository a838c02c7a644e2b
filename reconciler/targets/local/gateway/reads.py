"""Shares the event loop between connections: bounds how much of one is parsed at once, and how much time that takes.

`upstream` and `listener` put it in front of aiohttp's protocols. uvloop reads a socket up to 32 times in a row, 256 KB
each. If a hostile peer makes these bytes expensive to parse (chunks of one byte, say), all other connections wait for
seconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

READ_BYTES = 64 * 1024
SLOW_SECONDS = 0.002
"""To parse READ_BYTES: a hundred times what an ordinary body takes."""

PAUSES_PER_SLOW_READ = 10
"""How long a connection is left alone after a slow read, in multiples of the time that the read took. Bytes that are
slow to parse are about as slow to pass on."""

_CHEAP_BYTES = 4096  # fewer bytes than these are never slow to parse


class BoundedReads(asyncio.Protocol):
    """Passes a connection's bytes on to `protocol`, at most READ_BYTES in one turn of the event loop.

    It is no BufferedProtocol, which could limit the reads themselves, because uvloop takes longer for each small read
    of one.
    """

    __slots__ = ("_error", "_held", "_is_lost", "_protocol", "_resumes", "_transport", "_waiting")

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self._held = False  # nothing is passed on until `_release`
        self._resumes = False  # whether `_release` resumes the transport; else `protocol` has paused it, and resumes it
        self._is_lost = False  # the transport has ended, with `_error` if it broke
        self._error: Exception | None = None
        self._waiting = b""  # to be passed on: the rest of a large read, and what arrived in spite of a pause

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._held:  # `protocol` has resumed the transport
            self._waiting += data
            self._pause()
        elif len(data) < _CHEAP_BYTES:
            self._protocol.data_received(data)
        else:
            self._pass_on(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost, self._error = True, exc
        if not self._held:  # else `_release` ends it, after the bytes that wait
            self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def _pass_on(self, data: bytes) -> None:
        part, self._waiting = data[:READ_BYTES], data[READ_BYTES:]
        began = time.thread_time()  # not the wall clock: a busy machine is not the peer's fault
        self._protocol.data_received(part)
        took = time.thread_time() - began
        is_slow = took >= SLOW_SECONDS
        if not is_slow and len(part) < READ_BYTES:
            return
        is_reading = not self._transport.is_closing() and self._transport.is_reading()
        if is_reading or self._waiting:  # else `protocol` has paused the transport, and nothing is left to pass on
            self._held, self._resumes = True, False
            if is_reading:
                self._pause()
            asyncio.get_running_loop().call_later(took * PAUSES_PER_SLOW_READ if is_slow else 0, self._release)

    def _pause(self) -> None:
        self._transport.pause_reading()
        self._resumes = True

    def _release(self) -> None:
        self._held = False
        data, self._waiting = self._waiting, b""
        if self._resumes and not self._transport.is_closing():
            self._transport.resume_reading()
        if data:
            self._pass_on(data)
        if self._is_lost and not self._held:
            self._protocol.connection_lost(self._error)
