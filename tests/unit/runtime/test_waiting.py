"""Bodies that wait hold at most as many bytes as they may, and give back what they held, however they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.requests import ClientDisconnect

from runtime.errors import RequestFault
from runtime.server.waiting import WaitingRoom, read_body
from runtime.settings import Limits

LIMITS = Limits(
    request_seconds=0.05,
    head_seconds=1,
    body_bytes=10,
    values=1000,
    waiting_bytes=16,
    concurrency=1,
    queue=1,
)


async def stream(*chunks: bytes, ends_with: BaseException | None = None, hangs: bool = False) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if hangs:
        await asyncio.Event().wait()
    if ends_with:
        raise ends_with


def read(room: WaitingRoom, body: AsyncIterator[bytes]) -> bytes:
    return asyncio.run(read_body(body, LIMITS, room))


def refused(room: WaitingRoom, body: AsyncIterator[bytes]) -> tuple[int, str]:
    with pytest.raises(RequestFault) as caught:
        read(room, body)
    return caught.value.status, caught.value.reason


def is_empty(room: WaitingRoom) -> bool:
    return room.take(LIMITS.waiting_bytes) and not room.take(1)


def test_a_body_is_read_whole_and_held_until_its_bytes_are_given_back() -> None:
    room = WaitingRoom(LIMITS)
    assert read(room, stream(b"12345", b"", b"67890")) == b"1234567890"
    assert not room.take(7)
    room.give(10)
    assert is_empty(room)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (stream(b"1234567890", b"1"), (413, "too_large")),
        (stream(b"1", hangs=True), (408, "body_timeout")),
        (stream(b"1", ends_with=ClientDisconnect()), (400, "disconnected")),
    ],
    ids=["large", "slow", "gone"],
)
def test_a_refused_body_holds_nothing(body: AsyncIterator[bytes], refusal: tuple[int, str]) -> None:
    room = WaitingRoom(LIMITS)
    assert refused(room, body) == refusal
    assert is_empty(room)


def test_a_body_whose_reader_is_cancelled_holds_nothing() -> None:
    room = WaitingRoom(LIMITS)
    with pytest.raises(asyncio.CancelledError):
        read(room, stream(b"1", ends_with=asyncio.CancelledError()))
    assert is_empty(room)


def test_a_body_that_does_not_fit_beside_the_others_is_refused_for_now() -> None:
    room = WaitingRoom(LIMITS)
    read(room, stream(b"1234567890"))
    assert refused(room, stream(b"123", b"4567890")) == (503, "busy")
    assert read(room, stream(b"123456")) == b"123456"


def test_what_is_refused_is_read_on_so_that_the_client_sees_the_answer_but_not_for_ever() -> None:
    read_chunks = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read_chunks
        while True:
            read_chunks += 1
            yield b"12345"

    assert refused(WaitingRoom(LIMITS), endless()) == (413, "too_large")
    assert read_chunks == 4 * LIMITS.body_bytes // 5 + 1


def test_places_are_limited_and_given_back() -> None:
    room = WaitingRoom(LIMITS)
    room.enter()
    room.enter()
    with pytest.raises(RequestFault, match="Too many requests are waiting"):
        room.enter()
    room.leave(0)
    room.enter()
