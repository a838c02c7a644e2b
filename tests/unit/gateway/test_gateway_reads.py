"""How much of one connection is read before another one's turn, over a real socket and the gateway's own event loop."""

from __future__ import annotations

import asyncio
import socket
import time
from itertools import pairwise
from typing import cast

import pytest
import uvloop

from reconciler.targets.local.gateway.reads import READ_BYTES, SLOW_SECONDS, BoundedReads


class Reader(asyncio.Protocol):
    """Notes in which turn of the event loop how many bytes came, and works on each read for `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.turn = 0
        self.reads: list[tuple[int, int]] = []
        self.received = 0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        self.reads.append((self.turn, len(data)))
        self.received += len(data)
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def count_turns(reader: Reader) -> None:
    while True:
        reader.turn += 1
        await asyncio.sleep(0)


async def read_all(reader: Reader, size: int) -> None:
    """Sends so many bytes to a reader, behind bounded reads, and waits for their end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    turns = asyncio.create_task(count_turns(reader))
    await asyncio.get_running_loop().connect_accepted_socket(lambda: BoundedReads(reader), theirs)
    await asyncio.get_running_loop().sock_sendall(ours, b"x" * size)
    ours.close()
    try:
        await asyncio.wait_for(reader.ended, 20)
    finally:
        turns.cancel()


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_one_turn_reads_a_bounded_part_and_loses_nothing(loop_factory: type[asyncio.AbstractEventLoop]) -> None:
    async def run() -> None:
        reader = Reader()
        await read_all(reader, 40 * READ_BYTES + 7)
        assert reader.received == 40 * READ_BYTES + 7
        assert max(size for _, size in reader.reads) <= READ_BYTES
        full = [turn for turn, size in reader.reads if size == READ_BYTES]
        assert len(set(full)) == len(full)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())


def test_a_slow_read_is_followed_by_a_pause_and_loses_nothing() -> None:
    async def run() -> None:
        reader = Reader(seconds=2 * SLOW_SECONDS)
        await read_all(reader, 4 * READ_BYTES)
        assert reader.received == 4 * READ_BYTES
        turns = [turn for turn, _ in reader.reads]
        assert all(later - earlier > 2 for earlier, later in pairwise(turns))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_a_protocol_that_resumes_its_transport_does_not_shorten_the_pause() -> None:
    class Eager(Reader):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            asyncio.get_running_loop().call_soon(self.transport.resume_reading)

    async def run() -> None:
        reader = Eager(seconds=2 * SLOW_SECONDS)
        await read_all(reader, 4 * READ_BYTES)
        assert reader.received == 4 * READ_BYTES
        turns = [turn for turn, _ in reader.reads]
        assert all(later - earlier > 2 for earlier, later in pairwise(turns))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_the_rest_of_a_large_read_does_not_end_a_pause_of_the_protocol_itself() -> None:
    class Full(Reader):
        """Pauses at its first read, as aiohttp does when nobody takes the body."""

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if len(self.reads) == 1:
                self.transport.pause_reading()

    async def run() -> None:
        reader = Full()
        ours, theirs = socket.socketpair()
        bounded = BoundedReads(reader)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: bounded, theirs)
        bounded.data_received(b"x" * (2 * READ_BYTES + 1))  # larger than a read of a socket pair
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(ours, b"more")
        for _ in range(20):
            await asyncio.sleep(0)
        assert [size for _, size in reader.reads] == [READ_BYTES, READ_BYTES, 1]
        assert not reader.transport.is_reading()
        reader.transport.resume_reading()
        ours.close()
        await asyncio.wait_for(reader.ended, 20)
        assert reader.received == 2 * READ_BYTES + 5

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_what_came_before_the_end_is_handed_on_though_it_was_held() -> None:
    async def run() -> None:
        reader = Reader(seconds=2 * SLOW_SECONDS)
        await read_all(reader, READ_BYTES + 10)
        assert reader.received == READ_BYTES + 10

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
