"""uvicorn's HTTP/1.1 connection, with what it lacks: limits on time and size before the application sees a request, and
JSON for whatever is refused there. Made by uvicorn for every connection, by way of `host.py`.
"""

from __future__ import annotations

import asyncio
import resource
from asyncio.events import TimerHandle
from typing import Any, cast

import httptools
import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's head; also of what comes between two pieces of its body, or behind the body, and is neither."""
_BODY_HEADERS = (b"content-length", b"transfer-encoding")
_RESERVED_FILES = 64
_MIN_CONNECTIONS = 64


class Config(uvicorn.Config):
    """`head_seconds`: for a request's head, from its first byte. `unread_seconds`: for a client to read on in an answer
    that is larger than the buffers."""

    def __init__(self, app: Any, *, head_seconds: float, unread_seconds: float, **options: Any) -> None:
        super().__init__(app, http=Connection, **options)
        self.head_seconds = head_seconds
        self.unread_seconds = unread_seconds


class Connection(HttpToolsProtocol):
    config: Config

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._unparsed = 0  # bytes since the parser gave us something, as of the read before
        self._is_broken = False
        self._complaint = "The request is not valid HTTP/1.1."
        self._head_timer: TimerHandle | None = None
        self._unread_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if len(self.connections) > _max_connections():
            self._refuse(503, "busy", "Too many connections are open; ask again later.")
        else:
            self._close_when_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_broken:
            return
        self._unset_keepalive_if_required()
        self._unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # ignored, as RFC 9110 allows, but the parser reads no further
            self._end_after_answers()
        except httptools.HttpParserError:
            self._refuse(400, "bad_request", self._complaint)
        else:
            self._limit_head()

    def on_message_begin(self) -> None:
        self._unparsed = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer, which nobody reads
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unparsed = 0
        if self.parser.should_upgrade() and any(name in _BODY_HEADERS for name, _ in self.headers):
            self._complaint = "A request with a body can't ask for another protocol: leave out the header Upgrade."
            raise ValueError(self._complaint)  # httptools would skip the body
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._unparsed = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self.config.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer:
            self._unread_timer.cancel()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _limit_head(self) -> None:
        if self._unparsed > MAX_HEAD_BYTES:
            self._refuse(431, "head_too_large", f"The request's head is larger than {MAX_HEAD_BYTES} bytes.")
        elif not self._in_head or self._is_answering:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.config.head_seconds, self._refuse_late_head)

    def _refuse_late_head(self) -> None:
        self._refuse(408, "head_timeout", "The request's head did not arrive in time.")

    def _close_when_idle(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answers at once and closes. A whole request that came before is answered first, and then the connection
        closes without more."""
        self._is_broken = True
        self._stop_timers()
        cycle = self.cycle
        if self._is_answering and not cycle.more_body:
            self._end_after_answers()
            return
        if not (self._is_answering and cycle.response_started):
            body = orjson.dumps({"error": {"code": code, "message": message}})
            retry = b"retry-after: 1\r\n" if status == 503 else b""
            head = b"content-type: application/json\r\n%sconnection: close\r\ncontent-length: %d\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head % (retry, len(body)) + body)
        self.transport.close()

    def _end_after_answers(self) -> None:
        self._is_broken = True
        for cycle in (self.cycle, *(queued for queued, _ in self.pipeline)):
            if cycle is not None:
                cycle.keep_alive = False
        if not self._is_answering:
            self.transport.close()

    def _stop_timers(self) -> None:
        self._stop_head_timer()
        if self._unread_timer:
            self._unread_timer.cancel()

    def _stop_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None


def _max_connections() -> int:
    """As many as this process may have open files, but for those that it needs otherwise."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - _RESERVED_FILES, _MIN_CONNECTIONS)
