"""Servers that stand behind the gateway, in threads of the test: one that answers, and one that follows a script."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_WAIT_SECONDS = 20.0


@dataclass
class Upstream:
    """Answers every request with JSON that says who it is and what it got. Requests for a path that ends in /held
    wait until `release` is set. `requests` counts all that came."""

    name: str
    port: int = 0
    requests: int = 0
    holding: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def came(self, held: bool) -> None:
        with self._lock:
            self.requests += 1
            self.holding += held

    def went(self) -> None:
        with self._lock:
            self.holding -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    upstream: Upstream

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gateway that gives up a connection is no trouble of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        upstream = self.server.upstream
        size = self._discard_or_read()
        held = self.path.endswith("/held")
        upstream.came(held)
        if held:
            upstream.release.wait(_WAIT_SECONDS)
            upstream.went()
        seen = {"upstream": upstream.name, "method": self.command, "path": self.path, "size": size}
        body = json.dumps(seen | {"headers": list(self.headers.items())}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""

    def _discard_or_read(self) -> int:
        if self.headers.get("Transfer-Encoding") == "chunked":
            size = 0
            while length := int(self.rfile.readline(), 16):
                size += len(self.rfile.read(length + 2)) - 2
            self.rfile.readline()
            return size
        left = size = int(self.headers.get("Content-Length", 0))
        while left > 0:
            left -= len(self.rfile.read(min(left, 1024 * 1024)))
        return size


@contextmanager
def upstream(name: str = "only") -> Iterator[Upstream]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.upstream = Upstream(name, server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.upstream
    finally:
        server.upstream.release.set()
        server.shutdown()
        server.server_close()


Script = Callable[[socket.socket, bytes], None]
"""Gets a connection and the head of the request that came on it; the connection is closed after it."""


@dataclass
class ScriptedUpstream:
    port: int
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)


@contextmanager
def scripted(script: Script) -> Iterator[ScriptedUpstream]:
    """A server that does to each connection what the script says, whether it is HTTP or not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = ScriptedUpstream(listener.getsockname()[1])
        thread = threading.Thread(target=_accept, args=(listener, upstream, script), daemon=True)
        thread.start()
        try:
            yield upstream
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(_WAIT_SECONDS)


def _accept(listener: socket.socket, upstream: ScriptedUpstream, script: Script) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            upstream.connections += 1
            threading.Thread(target=_follow, args=(connection, upstream, script), daemon=True).start()


def _follow(connection: socket.socket, upstream: ScriptedUpstream, script: Script) -> None:
    with connection, suppress(OSError):
        connection.settimeout(_WAIT_SECONDS)
        head = b""
        while b"\r\n\r\n" not in head and (data := connection.recv(65_536)):
            head += data
        upstream.heads.append(head)
        script(connection, head)


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
