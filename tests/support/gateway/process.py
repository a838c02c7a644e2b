"""A real gateway process, the tables it routes by, and HTTP clients that can misbehave."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.targets.local.gateway.client import LOG_FILE, GatewayClient
from reconciler.targets.local.gateway.routes import Replica, Route, RouteTable, RouteVariant

DEADLINE_SECONDS = 20.0
CHURN = "/fraud/churn/predict"


def until(condition: Callable[[], object], what: str) -> None:
    """Polls until something holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


def variant(name: str, *ports: int, weight: int = 100, version: str = "v1") -> RouteVariant:
    replicas = tuple(Replica("127.0.0.1", port) for port in ports)
    return RouteVariant(name, version, f"sha256:{version}", weight, replicas)


def churn(*variants: RouteVariant, seconds: float = 30.0) -> Route:
    return Route("fraud", "churn", seconds, variants)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass
class RunningGateway:
    run_dir: Path
    process: subprocess.Popen[bytes]
    client: GatewayClient
    _generation: int = field(default=1)

    @property
    def port(self) -> int:
        info = self.client.info()
        assert info is not None
        return info.port

    def route(self, *routes: Route) -> int:
        """Puts routes in force; returns the generation that the gateway confirms."""
        self._generation += 1
        RouteTable(self._generation, routes).write(self.run_dir)
        return self.client.reload()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)

    def ask(
        self,
        path: str = CHURN,
        method: str = "GET",
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request on a connection of its own; an iterator as body is sent chunked."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def speak(self, message: bytes) -> socket.socket:
        """A connection on which exactly these bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)
        connection.sendall(message)
        return connection

    def speak_and_listen(self, message: bytes) -> bytes:
        """The same, and all that came back until the gateway closed."""
        with self.speak(message) as connection:
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65_536):
        received += data
    return received


START = ("-m", "reconciler.targets.local.gateway")


def start_gateway(
    run_dir: Path, *, host: str = "127.0.0.1", port: int = 0, start: Sequence[str] = START
) -> subprocess.Popen[bytes]:
    command = (sys.executable, *start, "--run-dir", str(run_dir), "--host", host, "--port", str(port))
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)


@contextmanager
def running_gateway(run_dir: Path, *routes: Route, start: Sequence[str] = START) -> Iterator[RunningGateway]:
    """Fails a test also when the gateway logged an error of its own that nobody saw."""
    RouteTable(1, routes).write(run_dir)
    process = start_gateway(run_dir, start=start)
    gateway = RunningGateway(run_dir, process, GatewayClient(run_dir))
    try:
        until(gateway.client.alive, "the gateway listens")
        yield gateway
        assert "Traceback" not in (run_dir / LOG_FILE).read_text()
    finally:
        process.kill()
        process.communicate()
