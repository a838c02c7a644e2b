"""Connections to replicas: opened, kept alive, given back; and one request and answer on one of them.

`exchange` calls it. Built on aiohttp's own client protocol, that is its HTTP parser and its flow control, without the
session above it: redirects, cookies, proxies and retries are no business of a gateway's, and cost half its speed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import ClientError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from reconciler.targets.local.gateway.balance import LiveReplica

CONNECT_SECONDS = 2.0
IDLE_SECONDS = 15.0
"""How long an unused connection is kept: well below the 75 s of the runtime, so that it is never the runtime that
closes one at the moment we send on it."""

_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200


class ConnectFailedError(Exception):
    """No connection was made, so that nothing of the request can have arrived."""


class NoAnswerError(Exception):
    """The connection ended before an answer began; the request may have been worked on."""


class BadAnswerError(Exception):
    """What came is no HTTP answer, or not the whole of one."""


class BodyTooLongError(Exception):
    """The client sends more than the gateway passes on."""


Answer = tuple[RawResponseMessage, StreamReader]


async def acquire(replica: LiveReplica) -> ResponseHandler:
    """A connection to a replica, a used one if there is. ConnectFailedError when it takes none."""
    loop = asyncio.get_running_loop()
    while replica.idle:
        connection, since = replica.idle.pop()
        if connection.is_connected() and not connection.should_close and loop.time() - since < IDLE_SECONDS:
            return connection  # type: ignore[no-any-return]  # `balance` knows no aiohttp
        connection.close()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, fresh = await loop.create_connection(lambda: ResponseHandler(loop), replica.host, replica.port)
            return fresh
    except OSError as error:  # TimeoutError is one
        raise ConnectFailedError(str(error) or f"no connection within {CONNECT_SECONDS:g} s") from error


def release(replica: LiveReplica, connection: ResponseHandler, reusable: bool) -> None:
    """Gives a connection back. `reusable`: the request was sent and the answer read, both to their ends."""
    if reusable and not replica.retired and not connection.should_close and connection.is_connected():
        replica.idle.append((connection, asyncio.get_running_loop().time()))
    else:
        connection.close()


def close_idle(replicas: Iterable[LiveReplica], unused_for: float = 0.0) -> None:
    """Closes the connections that nobody used for so many seconds."""
    latest = asyncio.get_running_loop().time() - unused_for
    for replica in replicas:
        while replica.idle and replica.idle[0][1] <= latest:
            replica.idle.popleft()[0].close()


def expect_answer(connection: ResponseHandler, method: str) -> None:
    """Makes a connection ready for one exchange; before anything is sent."""
    connection.set_response_params(skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False)


async def read_whole(body: StreamReader) -> bytes:
    """All of a body; at once where it has arrived already, as small ones have."""
    return body.read_nowait() if body.is_eof() and body.exception() is None else await body.read()


def send(connection: ResponseHandler, message: bytes) -> None:
    """Sends a whole request."""
    if connection.transport is not None:  # else it just broke, and reading the answer says so
        connection.transport.write(message)


async def read_answer(connection: ResponseHandler) -> Answer:
    """The head of the final answer, and the stream of its body."""
    try:
        while True:
            message, payload = await connection.read()
            if message.code >= _FIRST_FINAL_STATUS:
                return message, payload
            if message.code == _SWITCHING_PROTOCOLS:
                raise BadAnswerError("it switches to a protocol that nobody asked for")
    except ClientError as error:
        raise NoAnswerError(str(error)) from error
    except HttpProcessingError as error:
        raise BadAnswerError("what came is no HTTP answer") from error


async def send_stream(connection: ResponseHandler, head: bytes, body: StreamReader, chunked: bool, limit: int) -> None:
    """Sends a request whose body is passed on as it comes. BodyTooLongError beyond `limit` bytes."""
    send(connection, head)
    writer = StreamWriter(connection, asyncio.get_running_loop())
    writer.chunked = chunked
    sent = 0
    async for chunk in body.iter_any():
        sent += len(chunk)
        if sent > limit:
            raise BodyTooLongError(limit)
        await writer.write(chunk)
    await writer.write_eof()
