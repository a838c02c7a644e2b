"""Shares the event loop between connections: bounds how much of one is read at once, and how much time that takes.

`upstream` and `listener` put it in front of aiohttp's protocols. uvloop reads a socket up to 32 times in a row, 256 KB
each. If a hostile peer makes these bytes expensive to parse (chunks of one byte, say), all others wait for seconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

READ_BYTES = 64 * 1024
SLOW_SECONDS = 0.002
"""To parse READ_BYTES: a hundred times what a body takes that is not made to be slow."""

PAUSES_PER_SLOW_READ = 10
"""How long a connection is left alone after a slow read, in multiples of what that read took. What makes bytes slow to
parse makes them about as slow to pass on."""

_CHEAP_BYTES = 4096  # no bytes are so slow to parse that fewer than these matter

_buffer = bytearray(READ_BYTES)
"""Shared by all connections: what was read is copied out of it before anything else happens."""

_view = memoryview(_buffer)


class BoundedReads(asyncio.BufferedProtocol):
    """Hands a connection's bytes on to `protocol`, at most READ_BYTES in one turn of the event loop."""

    __slots__ = ("_held", "_protocol", "_transport", "_waiting")

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self._held = False  # nothing is handed on until `_release`
        self._waiting = b""  # bytes that came all the same: the protocol, too, may resume the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._protocol.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _view

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(_view[:nbytes])
        if self._held:
            self._waiting += data
            self._transport.pause_reading()
        elif nbytes < _CHEAP_BYTES:
            self._protocol.data_received(data)
        else:
            self._hand_on(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._protocol.data_received(self._waiting)
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def _hand_on(self, data: bytes) -> None:
        began = time.thread_time()  # not the wall clock: a busy machine is not the peer's fault
        self._protocol.data_received(data)
        took = time.thread_time() - began
        is_slow = took >= SLOW_SECONDS
        if (is_slow or len(data) >= READ_BYTES) and self._transport.is_reading():  # else the protocol has paused it
            self._held = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(took * PAUSES_PER_SLOW_READ if is_slow else 0, self._release)

    def _release(self) -> None:
        self._held = False
        if self._transport.is_closing():
            return  # `connection_lost` hands on what is left
        data, self._waiting = self._waiting, b""
        self._transport.resume_reading()
        if data:
            self._hand_on(data)
