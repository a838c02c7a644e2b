"""Sends a replica's answer to the client.

`exchange` begins one and passes the body on. aiohttp's own response would decode and encode the head again, and add
headers that the replica left out; this one sends the replica's own bytes.
"""

from __future__ import annotations

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawResponseMessage

from reconciler.targets.local.gateway.headers import answer_head
from reconciler.targets.local.gateway.upstream import BadAnswerError

_NO_CONTENT = 204
_NOT_MODIFIED = 304


class RelayedAnswer(web.StreamResponse):
    """The answer that a handler returns to aiohttp's server. It overrides everything that the server calls.

    Either `send_whole`, or `send_head` and then any number of `write`; and `write_eof`.
    """

    def __init__(self, request: web.BaseRequest, message: RawResponseMessage, signature: bytes) -> None:
        super().__init__(status=message.code)
        self._request = request
        self._message = message
        self._signature = signature
        self._keeps_open = request.keep_alive
        self._begun = False

    @property
    def prepared(self) -> bool:
        """Whether any part of it was sent."""
        return self._begun

    @property
    def keep_alive(self) -> bool:
        """Whether the client's connection stays open after it."""
        return self._keeps_open

    @property
    def declared_length(self) -> str | None:
        """Of its body, as the replica says. A length beside a transfer coding means nothing (RFC 9112, section 6.3)."""
        headers = self._message.headers
        return None if hdrs.TRANSFER_ENCODING in headers else headers.get(hdrs.CONTENT_LENGTH)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Does nothing: the server calls it after the handler has sent everything."""
        return request.writer

    async def send_whole(self, body: bytes) -> None:
        length: int | str | None = len(body)
        if self._request.method == hdrs.METH_HEAD or self.status in (_NO_CONTENT, _NOT_MODIFIED):
            length = self.declared_length
        await self._begin(_length_line(length), body)

    async def send_head(self) -> None:
        """Its body has the length that the replica declared, else it is chunked; or, for clients that know no chunks,
        ends with the connection."""
        length = self.declared_length
        if length is not None:
            await self._begin(_length_line(length))
        elif self._request.version == HttpVersion11:
            await self._begin(b"Transfer-Encoding: chunked\r\n")
            self._request.writer.enable_chunking()
        else:
            self._keeps_open = False
            await self._begin(b"")

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await self._request.writer.write(data)

    async def write_eof(self, data: bytes = b"") -> None:
        await self._request.writer.write_eof(data)

    async def _begin(self, framing: bytes, body: bytes = b"") -> None:
        message, version = self._message, self._request.version
        start = f"HTTP/{version.major}.{version.minor} {message.code} {message.reason}\r\n"
        connection = b""
        if self._keeps_open != (version == HttpVersion11):  # else it is what that version does anyway
            connection = b"Connection: keep-alive\r\n" if self._keeps_open else b"Connection: close\r\n"
        try:
            head = answer_head(
                start.encode("utf-8", "surrogateescape"),
                message.raw_headers,
                message.headers.getall(hdrs.CONNECTION, ()),
                self._signature + framing + connection,
            )
        except ValueError as error:
            raise BadAnswerError(str(error)) from error
        self._begun = True
        await self._request.writer.write(head + body)


def _length_line(length: int | str | None) -> bytes:
    return b"" if length is None else f"Content-Length: {length}\r\n".encode()
