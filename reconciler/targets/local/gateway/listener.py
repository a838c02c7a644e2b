"""The public side of the gateway: connections of clients, on aiohttp's server.

`server` opens it. It answers malformed and late requests itself, with `answers`, and
passes every other request to the `Proxy`.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from http import HTTPStatus
from typing import Any

from aiohttp import web

from reconciler.targets.local.gateway import answers
from reconciler.targets.local.gateway.proxy import Proxy
from reconciler.targets.local.gateway.reads import BoundedReads

HEAD_SECONDS = 10.0
"""For the head of a request, from its first byte to its last."""

BACKLOG = 1024
KEEPALIVE_SECONDS = 75.0  # of a client's unused connection

_DRAIN_POLL_SECONDS = 0.02
_MAX_CONNECTIONS = 10_000
_FILES_PER_CONNECTION = 2  # the client's and, while a request is answered, a replica's


class ClientConnection(web.RequestHandler):
    """aiohttp's protocol, with a time limit for heads and with our answer to what its parser refuses."""

    __slots__ = ("_awaits_head", "_head_began", "_is_admitted", "_request")

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, *, is_admitted: bool = True, **options: Any
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._is_admitted = is_admitted
        self._request: web.BaseRequest | None = None  # the one that is being answered
        self._awaits_head = True  # what arrives now begins a request; else it is the body of one
        self._head_began: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._is_admitted and self.transport is not None:
            self.transport.write(answers.too_many_connections().raw())
            self.force_close()

    def data_received(self, data: bytes) -> None:
        if self._awaits_head and self._head_began is None:
            self._head_began = asyncio.get_running_loop().time()
        super().data_received(data)
        request = self._request
        if request is not None and self._messages and not request.content.is_eof():
            # Behind a body that has not ended, only the parser's error can be queued; the body's reader has to know.
            request.content.set_exception(web.RequestPayloadError("malformed"))

    @property
    def is_busy(self) -> bool:
        return self._request is not None

    def begin_answer(self, request: web.BaseRequest) -> None:
        self._request, self._awaits_head, self._head_began = request, False, None

    def end_answer(self, request: web.BaseRequest) -> None:
        self._request, self._awaits_head = None, request.content.is_eof()

    def refuse_slow_head(self, now: float, seconds: float) -> None:
        """Ends the connection if the head of its next request is overdue."""
        if self._head_began is None or now - self._head_began < seconds or self.transport is None:
            return
        self._head_began = None
        self.transport.write(answers.head_too_slow(seconds).raw())
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what aiohttp's parser refused (400), or to an error in aiohttp itself; the last one."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        self.begin_answer(request)
        refusal = answers.malformed(message or "") if status == HTTPStatus.BAD_REQUEST else answers.our_fault()
        response = refusal.response()
        response.force_close()
        return response


class PublicServer:
    """Accepts clients on one socket; of more than `max_connections`, it closes the oldest that no request uses."""

    def __init__(self, proxy: Proxy, head_seconds: float = HEAD_SECONDS, max_connections: int | None = None) -> None:
        self._proxy = proxy
        self._head_seconds = head_seconds
        self._max_connections = max_connections or _connection_limit()
        self._server = web.Server(self._answer, handler_cancellation=True)  # a client that leaves ends its request
        self._listening: asyncio.Server | None = None

    async def listen(self, listener: socket.socket) -> int:
        """Serves on a bound socket; returns its port."""
        loop = asyncio.get_running_loop()
        options = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": KEEPALIVE_SECONDS,
        }
        self._listening = await loop.create_server(
            lambda: BoundedReads(ClientConnection(self._server, loop, is_admitted=self._make_room(), **options)),
            sock=listener,
            backlog=BACKLOG,
        )
        return int(listener.getsockname()[1])

    def refuse_slow_heads(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in self._server.connections:
            if isinstance(connection, ClientConnection):
                connection.refuse_slow_head(now, self._head_seconds)

    def _make_room(self) -> bool:
        """Whether one more connection may open; closes an unused one for it where that is necessary."""
        connections = self._server.connections
        if len(connections) < self._max_connections:
            return True
        for connection in connections:  # the oldest first
            if not isinstance(connection, ClientConnection) or connection.is_busy or connection.transport is None:
                continue
            connection.force_close()
            return True
        return False

    async def drain(self, seconds: float) -> int:
        """Accepts nothing new, closes what is unused, and waits for requests that are being answered, at most
        `seconds`. Returns how many connections were cut."""
        if self._listening is not None:
            self._listening.close()
        loop, server = asyncio.get_running_loop(), self._server
        deadline = loop.time() + seconds
        await asyncio.sleep(0)
        server.pre_shutdown()
        while server.connections and loop.time() < deadline:
            # A request that was read before pre_shutdown is busy by now; any other connection never will be.
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
            for connection in server.connections:
                if not (isinstance(connection, ClientConnection) and connection.is_busy):
                    connection.force_close()
        cut = len(server.connections)
        await server.shutdown(0)
        return cut

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if not isinstance(connection, ClientConnection):
            raise TypeError(f"{type(connection)} is no connection of this listener")
        connection.begin_answer(request)
        try:
            return await self._proxy(request)
        finally:
            connection.end_answer(request)


def _connection_limit() -> int:
    """As many as the files that this process may open allow."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MAX_CONNECTIONS, soft // _FILES_PER_CONNECTION)
