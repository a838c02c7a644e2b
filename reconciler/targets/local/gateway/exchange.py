"""One request: chooses a replica, streams the request to it and the answer back.

`proxy` makes one for every request that belongs to a deployment, gives it a time limit, and counts it. Bodies of
up to SMALL_BODY_BYTES travel whole: such a request can be repeated at another replica, and such an answer can
still become a 502 when its replica dies. Longer ones are never in memory as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from http import HTTPStatus

from aiohttp import ClientPayloadError, HttpVersion11, web

from reconciler.targets.local.gateway import answers, upstream
from reconciler.targets.local.gateway.balance import REFUSED_SECONDS, Balancer, LiveReplica, LiveRoute, LiveVariant
from reconciler.targets.local.gateway.headers import VARIANT_HEADER, request_head
from reconciler.targets.local.gateway.relay import RelayedAnswer
from reconciler.targets.local.gateway.suspects import suspect
from reconciler.targets.local.gateway.upstream import Answer, BadAnswerError, BodyTooLongError, NoAnswerError

SMALL_BODY_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024**3
"""The most that is passed on. The runtime has its own, lower limit; this one bounds what a stranger can send."""

log = logging.getLogger(__name__)

_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Exchange:
    """`run` once, then `close`. `variant` is the one asked last, `response` what the client got of the answer."""

    __slots__ = (
        "_balancer",
        "_body",
        "_framing",
        "_pump",
        "_replica",
        "_request",
        "_target",
        "_tried",
        "response",
        "route",
        "variant",
    )

    def __init__(self, balancer: Balancer, route: LiveRoute, request: web.BaseRequest, target: str) -> None:
        self.route = route
        self.variant: LiveVariant | None = None
        self.response: RelayedAnswer | None = None
        self._balancer = balancer
        self._request = request
        self._target = target
        self._framing = b""
        self._body: bytes | None = b""  # None: streamed
        self._pump: asyncio.Task[None] | None = None  # which does that
        self._replica: LiveReplica | None = None
        self._tried: list[LiveReplica] = []

    async def run(self) -> web.StreamResponse:
        """Answers the request. GatewayRefusal if no replica can; then `response` says whether an answer had begun."""
        await self._take_body()
        while True:
            variant, replica = self._choose()
            try:
                return await self._ask(variant, replica)
            except upstream.ConnectFailedError as error:
                _put_last(variant, replica, error)
            except (NoAnswerError, BadAnswerError) as error:
                log.warning("%s at %s:%d gave no answer: %s", variant.key, replica.host, replica.port, error)
                if isinstance(error, BadAnswerError) or not self._repeatable:
                    raise answers.no_answer(self.route, str(error)) from error
            self._tried.append(replica)

    def suspect(self) -> None:
        """Prefers other replicas to the one that was asked until its `/ready` is 200 again."""
        if self._replica is not None:
            suspect(self._replica)

    def close(self) -> None:
        """Stops counting the request as in flight."""
        if self.variant is not None and self._replica is not None:
            self._balancer.end(self.variant, self._replica)
            self._replica = None

    @property
    def _repeatable(self) -> bool:
        """Whether the request is idempotent (RFC 9110, section 9.2.2) and its body is still in memory."""
        return self._body is not None and self._request.method in _IDEMPOTENT

    async def _take_body(self) -> None:
        """Reads a small body as a whole. For a long body, or one of unknown length, it only records the framing."""
        headers = self._request.headers
        length = headers.get("Content-Length")
        if length is None:
            if "Transfer-Encoding" in headers:
                self._framing, self._body = _CHUNKED, None
            return
        if int(length) > MAX_BODY_BYTES:
            raise answers.body_too_long(MAX_BODY_BYTES)
        self._framing = b"Content-Length: %d\r\n" % int(length)
        if int(length) > SMALL_BODY_BYTES:
            self._body = None
            return
        self._invite_body()
        try:
            self._body = await upstream.read_whole(self._request.content)
        except web.RequestPayloadError as error:
            raise answers.broken_body() from error

    def _invite_body(self) -> None:
        """Tells a client that waits for permission to send its body to go on (RFC 9110, section 10.1.1)."""
        request = self._request
        waits = request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue"
        if waits and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _choose(self) -> tuple[LiveVariant, LiveReplica]:
        """The replica to ask next, counted as in flight from now on. It is in the table in force, also if the table
        was swapped since the last attempt."""
        route = self._balancer.routes.get(self.route.key)
        if route is not None:
            self.route = route
            now = asyncio.get_running_loop().time()
            for variant in self._candidates(route):
                replica = variant.least_busy(now, self._tried)
                if replica is not None:
                    self.close()
                    self.variant, self._replica = variant, replica
                    self._balancer.begin(variant, replica)
                    return variant, replica
        raise answers.nobody_ready(self.route)

    def _candidates(self, route: LiveRoute) -> Iterator[LiveVariant]:
        """The variant that was asked for and no other; else the one whose turn it is, then its siblings."""
        wanted = self._request.headers.get(VARIANT_HEADER)
        if wanted is not None:
            named = route.named(wanted)
            if named is None:
                raise answers.no_such_variant(route, wanted)
            yield named
            return
        last = self.variant
        first = last if last is not None and last.weight and not last.retired else route.next()
        if first is not None:
            yield first
            yield from route.others(first)

    async def _ask(self, variant: LiveVariant, replica: LiveReplica) -> web.StreamResponse:
        connection = await upstream.acquire(replica)
        reusable = False
        try:
            connection.expect_answer(self._request.method)
            answer = await self._send(connection, self._head())
            response = await self._relay(variant, answer)
            reusable = self._pump is None or (self._pump.done() and self._pump.exception() is None)
            return response
        finally:
            if self._pump is not None:
                self._pump.cancel()
            upstream.release(replica, connection, reusable)

    def _head(self) -> bytes:
        request, headers = self._request, self._request.headers
        connection = headers.getall("Connection", ())
        peer = request.remote or "unknown"
        return request_head(request.method, self._target, request.raw_headers, connection, peer, self._framing)

    async def _send(self, connection: upstream.ReplicaConnection, head: bytes) -> Answer:
        if self._body is not None:
            upstream.send(connection, head + self._body)
            return await upstream.read_answer(connection)
        self._invite_body()
        chunked = self._framing is _CHUNKED
        sending = upstream.send_stream(connection, head, self._request.content, chunked, MAX_BODY_BYTES)
        pump = self._pump = asyncio.create_task(sending)
        pump.add_done_callback(_take_note)
        answer = asyncio.create_task(upstream.read_answer(connection))
        try:
            # A replica that refuses a long body answers before it has read all of it.
            await asyncio.wait((pump, answer), return_when=asyncio.FIRST_COMPLETED)
            if pump.done() and not answer.done():
                _check_body(pump)
            return await answer
        finally:
            answer.cancel()

    async def _relay(self, variant: LiveVariant, answer: Answer) -> web.StreamResponse:
        message, payload = answer
        if message.code == HTTPStatus.SERVICE_UNAVAILABLE:
            self.suspect()
        response = self.response = RelayedAnswer(self._request, message, variant.signature)
        try:
            if payload.is_eof() or int(response.declared_length or MAX_BODY_BYTES) <= SMALL_BODY_BYTES:
                await response.send_whole(await upstream.read_whole(payload))
            else:
                await response.send_head()
                async for chunk in payload.iter_any():
                    await response.write(chunk)
        except ClientPayloadError as error:
            raise BadAnswerError("it ended in the middle") from error
        await response.write_eof()
        return response


def _put_last(variant: LiveVariant, replica: LiveReplica, error: Exception) -> None:
    now = asyncio.get_running_loop().time()
    if replica.refused_until <= now:
        log.warning("%s at %s:%d takes no connection: %s", variant.key, replica.host, replica.port, error)
    replica.refused_until = now + REFUSED_SECONDS


def _take_note(pump: asyncio.Task[None]) -> None:
    """Retrieves an error that no longer matters, because asyncio would log it as never retrieved."""
    if not pump.cancelled():
        pump.exception()


def _check_body(pump: asyncio.Task[None]) -> None:
    """GatewayRefusal if the client's body was at fault. A replica's broken connection shows when its answer is read."""
    try:
        pump.result()
    except BodyTooLongError as error:
        raise answers.body_too_long(MAX_BODY_BYTES) from error
    except web.RequestPayloadError as error:
        raise answers.broken_body() from error
    except OSError:
        return
