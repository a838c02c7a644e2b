"""Connections to replicas, opened, kept alive and reused; and one request and answer on one of them.

`exchange` calls it. Built on aiohttp's own client protocol, that is its HTTP parser and its flow control, without the
session above it: a gateway needs no redirects, cookies, proxies or retries, and they cost half its speed.

A replica runs a tenant's code, so it may send anything, at any speed. Heads are limited in number and size, bodies by
flow control, each read by `reads`, and the whole exchange by the deployment's time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import ClientError, ClientPayloadError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from reconciler.targets.local.gateway.balance import LiveReplica
from reconciler.targets.local.gateway.headers import is_chunked
from reconciler.targets.local.gateway.reads import BoundedReads

CONNECT_SECONDS = 2.0
IDLE_SECONDS = 15.0
"""How long an unused connection is kept: well below the 75 s of the runtime, so that it is never the runtime that
closes one at the moment we send on it."""

MAX_INTERIM_ANSWERS = 16
"""1xx answers before the final one: 100 and perhaps 103 are what servers send."""

_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200


class ConnectFailedError(Exception):
    """No connection was made, so no part of the request can have arrived."""


class NoAnswerError(Exception):
    """The connection ended before an answer began; the replica may have worked on the request."""


class BadAnswerError(Exception):
    """The replica sent something that is not an HTTP answer, or only a part of one."""


class BodyTooLongError(Exception):
    """The client sends more than the gateway passes on."""


Answer = tuple[RawResponseMessage, StreamReader]


class ReplicaConnection(ResponseHandler):
    """aiohttp's protocol, which queues every head that arrives; this one refuses those that nobody asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._expected_heads = 0  # that may still arrive; none while the connection is unused
        self._body: StreamReader | None = None  # of the newest head

    def expect_answer(self, method: str) -> None:
        """Prepares for one exchange; before anything is sent."""
        self._expected_heads = MAX_INTERIM_ANSWERS + 1
        self.set_response_params(skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False)

    def expect_nothing(self) -> None:
        """After the head of the final answer."""
        self._expected_heads = 0

    def feed_data(self, data: Answer, size: int = 0) -> None:
        """Called by the parser for each head."""
        self._expected_heads -= 1
        if self._expected_heads >= 0:
            self._body = data[1]
            super().feed_data(data, size)
        elif self.transport is not None:
            self.set_exception(BadAnswerError(f"it sent more than {MAX_INTERIM_ANSWERS} interim answers"))
            self.transport.abort()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Called when the parser fails, too, which aiohttp doesn't report to whoever reads the body."""
        super().set_exception(exc, *([exc_cause] if exc_cause is not None else []))
        if self._body is not None and not self._body.is_eof() and self._body.exception() is None:
            self._body.set_exception(ClientPayloadError("not HTTP"))


async def acquire(replica: LiveReplica) -> ReplicaConnection:
    """A connection to a replica, a used one if possible. ConnectFailedError when the replica accepts none."""
    loop = asyncio.get_running_loop()
    while replica.idle:
        connection, since = replica.idle.pop()
        if connection.is_connected() and not connection.should_close and loop.time() - since < IDLE_SECONDS:
            return connection  # type: ignore[no-any-return]  # `balance` knows no aiohttp
        connection.close()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            fresh = ReplicaConnection(loop)
            await loop.create_connection(lambda: BoundedReads(fresh), replica.host, replica.port)
            return fresh
    except OSError as error:  # TimeoutError is one
        raise ConnectFailedError(str(error) or f"no connection within {CONNECT_SECONDS:g} s") from error


def release(replica: LiveReplica, connection: ReplicaConnection, reusable: bool) -> None:
    """Gives a connection back. `reusable`: the request was sent and the answer read, both to their ends."""
    if reusable and not replica.retired and not connection.should_close and connection.is_connected():
        replica.idle.append((connection, asyncio.get_running_loop().time()))
    else:
        connection.close()


def close_idle(replicas: Iterable[LiveReplica], unused_for: float = 0.0) -> None:
    """Closes the connections that were unused for at least `unused_for` seconds."""
    latest = asyncio.get_running_loop().time() - unused_for
    for replica in replicas:
        while replica.idle and replica.idle[0][1] <= latest:
            replica.idle.popleft()[0].close()


async def read_whole(body: StreamReader) -> bytes:
    """The whole body; without waiting if it has arrived already, as small ones have."""
    return body.read_nowait() if body.is_eof() and body.exception() is None else await body.read()


def send(connection: ReplicaConnection, message: bytes) -> None:
    """Sends a whole request."""
    if connection.transport is not None:  # else it just broke, and reading the answer says so
        connection.transport.write(message)


async def read_answer(connection: ReplicaConnection) -> Answer:
    """The head of the final answer, and the stream of its body."""
    try:
        while True:
            message, payload = await connection.read()
            if message.code >= _FIRST_FINAL_STATUS:
                connection.expect_nothing()
                _refuse_unknown_coding(message)
                return message, payload
            if message.code == _SWITCHING_PROTOCOLS:
                raise BadAnswerError("it switches to a protocol that nobody asked for")
    except ClientError as error:
        raise NoAnswerError(str(error)) from error
    except HttpProcessingError as error:
        raise BadAnswerError("what came is no HTTP answer") from error


def _refuse_unknown_coding(message: RawResponseMessage) -> None:
    """A body that is more than chunked would reach the client without the header that says how to read it."""
    codings = message.headers.getall("Transfer-Encoding", ())
    if codings and not is_chunked(codings):
        raise BadAnswerError("its body has an unknown transfer coding")


async def send_stream(
    connection: ReplicaConnection, head: bytes, body: StreamReader, chunked: bool, limit: int
) -> None:
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
