"""A real HTTP proxy in front of an S3 server that breaks what it is told to: drops, cuts, flips a byte, answers itself.

It passes headers on unchanged, `Host` too, so that signatures stay valid.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.support.stores.s3_servers import S3Server

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


class Break(Enum):
    DROP_REQUEST = auto()  # the connection ends before the server hears of it
    DROP_ANSWER = auto()  # the server has done it, the client is not told
    CUT_ANSWER = auto()  # half of the body, then the connection ends
    FLIP_REQUEST = auto()  # one bit of the body on its way to the server
    FLIP_ANSWER = auto()  # one bit of the body on its way to the client
    STRIP_CONDITION = auto()  # as a server that ignores If-None-Match


@dataclass
class Fault:
    """Applies to the next `times` requests that match. `answer`: (status, S3 error code) instead of the server's."""

    breaks: Break | None = None
    method: str = ""
    path: str = ""  # a part of path and query
    times: int = 1
    answer: tuple[int, str] | None = None
    before: Callable[[], None] = lambda: None  # called before the request is passed on


@dataclass
class FaultProxy:
    upstream: S3Server
    server: S3Server
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)  # "METHOD /path" of every request
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    def note(self, method: str, path: str) -> Fault:
        """The fault of a request; one that breaks nothing for most."""
        with self._lock:
            self.seen.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and fault.path in path:
                    fault.times -= 1
                    return fault
        return Fault()


@contextmanager
def fault_proxy(upstream: S3Server) -> Generator[FaultProxy]:
    address = urlsplit(upstream.endpoint)
    proxy = FaultProxy(upstream, upstream)
    handler = type("Handler", (_Handler,), {"proxy": proxy, "target": (address.hostname, address.port)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        proxy.server = replace(upstream, endpoint=f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    target: tuple[str, int]
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has gone
            self.close_connection = True

    def _pass_on(self) -> None:
        fault = self.proxy.note(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault.before()
        if fault.breaks is Break.DROP_REQUEST:
            return self._hang_up()
        if fault.answer:
            return self._answer_error(*fault.answer)
        if fault.breaks is Break.FLIP_REQUEST:
            body = _flipped(body)
        if fault.breaks is Break.STRIP_CONDITION:
            del self.headers["If-None-Match"]
        status, headers, data = self._ask(body)
        if fault.breaks is Break.DROP_ANSWER:
            return self._hang_up()
        if fault.breaks is Break.FLIP_ANSWER:
            data = _flipped(data)
        self._answer(status, headers, data, cut=fault.breaks is Break.CUT_ANSWER)
        return None

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.target, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"expect", "connection"}:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, cut: bool) -> None:
        self.send_response_only(status)
        sizes = [value for name, value in headers if name.lower() == "content-length"]
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", sizes[0] if sizes and self.command == "HEAD" else str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self._hang_up()

    def _answer_error(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told to</Message></Error>"
        self._answer(status, [("Content-Type", "application/xml")], text.encode(), cut=False)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - http.server's names


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data
