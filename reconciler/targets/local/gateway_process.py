"""Starts and stops the gateway, and knows its address, which is chosen once.

Called by routing, which needs it to run, and by observing, which reports whether it does.
"""

from __future__ import annotations

import errno
import random
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from reconciler.targets.local import processes
from reconciler.targets.local.environment import base_environment
from reconciler.targets.local.files import make_folder
from reconciler.targets.local.gateway.client import LOG_FILE, GatewayClient
from reconciler.targets.local.identity import GATEWAY_TOKEN, Origin
from reconciler.targets.local.logs import last_lines
from reconciler.targets.local.marks import read, write
from reconciler.targets.local.probe import Address
from reconciler.targets.local.processes import ProcessId
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.protocol import TargetError

START_SECONDS = 15.0
STOP_SECONDS = 10.0  # from SIGTERM to SIGKILL; it has no routes any more, and so nothing to answer

_POLL_SECONDS = 0.02
_PORTS = range(20_000, 30_000)
"""Below what Linux hands out for outgoing connections, so that a port chosen once is likely to stay free."""

_TRIED_PORTS = 100
_TAKEN_LOOKS, _TAKEN_PAUSE_SECONDS = 5, 0.05
"""A gateway that was just killed holds its port a moment longer than it can be seen to run."""


@dataclass(frozen=True, slots=True)
class RecordedPort:
    port: int


@dataclass(frozen=True, slots=True)
class Stopping:
    kill_at: float  # seconds since the epoch


class GatewayProcess:
    """The one gateway of a run directory. `port` None: chosen once and recorded."""

    def __init__(self, run_dir: RunDir, host: str, port: int | None) -> None:
        self.client = GatewayClient(run_dir.root)
        self._run_dir = run_dir
        self._origin = Origin(run_dir.root, GATEWAY_TOKEN)
        self._host = host
        self._port = port

    @property
    def address(self) -> Address | None:
        """Where the gateway listens, or will listen once it runs; None while no port is chosen."""
        port = self._port or self._recorded_port()
        return (self._host, port) if port else None

    @property
    def live_address(self) -> Address | None:
        """The address of the running gateway; None if none runs."""
        info = self.client.info()
        return (info.host, info.port) if info and self.client.alive() else None

    @property
    def url(self) -> str | None:
        """The URL of an address, without a slash at the end; a loopback URL if it listens on all addresses."""
        return url_of(self.address) if self.address else None

    def trouble(self) -> TargetError | None:
        """Why the gateway could not start; checked before anything is changed."""
        address = self.address
        if address is None or self.live_address == address or self._running():
            return None
        return _refusal(address)

    def start(self) -> None:
        """Makes it run at its address. TargetError if another program has the port, or if it doesn't start."""
        with self._lock():
            if self.address and self.live_address == self.address and not self._stopping_file.exists():
                return
            self._end_all()
            address = self.address or self._choose()
            if refusal := _refusal(address):
                raise refusal
            self._spawn(address)

    def stop(self) -> bool:
        """One step of stopping it; True once it has ended. It keeps its address."""
        with self._lock():
            running = self._running()
            stopping = read(self._stopping_file, Stopping)
            if not running:
                self._stopping_file.unlink(missing_ok=True)
            elif stopping is None:
                write(self._stopping_file, Stopping(time.time() + STOP_SECONDS))
                for process in running:
                    processes.terminate(process, self._origin)
            elif time.time() >= stopping.kill_at:
                for process in running:
                    processes.kill(process, self._origin)
            return not running

    @property
    def _stopping_file(self) -> Path:
        return self._run_dir.root / "gateway-stopping.json"

    def _recorded_port(self) -> int | None:
        """The chosen port; if our own record was deleted, the one in the last gateway's record."""
        recorded = read(self._run_dir.address_file, RecordedPort) or self.client.info()
        return recorded.port if recorded else None

    def _lock(self) -> FileLock:
        make_folder(self._run_dir.root)
        return FileLock(self._run_dir.root / "gateway.lock", mode=0o600)

    def _running(self) -> list[ProcessId]:
        """The running gateways, also one whose starter was killed before the gateway wrote gateway.json."""
        return [found.process for found in processes.bearers(self._run_dir.root) if found.token == GATEWAY_TOKEN]

    def _end_all(self) -> None:
        """Ends gateways that run at another address, that are about to stop, or that never came up."""
        for process in self._running():
            processes.terminate(process, self._origin)
        deadline = time.monotonic() + STOP_SECONDS
        while running := self._running():
            if time.monotonic() > deadline:
                for process in running:
                    processes.kill(process, self._origin)
            time.sleep(_POLL_SECONDS)
        self._stopping_file.unlink(missing_ok=True)

    def _choose(self) -> Address:
        for port in random.sample(_PORTS, _TRIED_PORTS):
            error = _bind_error((self._host, port))
            if error is None:
                write(self._run_dir.address_file, RecordedPort(port))
                return self._host, port
            if error.errno != errno.EADDRINUSE:
                raise _unusable((self._host, port), error)
        raise TargetError("The gateway can't listen", f"No free port was found on {self._host}.", retryable=True)

    def _spawn(self, address: Address) -> None:
        host, port = address
        command = (sys.executable, "-P", "-m", "reconciler.targets.local.gateway", "--run-dir")
        arguments = (*command, str(self._run_dir.root), "--host", host, "--port", str(port))
        marked = base_environment() | self._origin.to_environment()
        process = processes.spawn(arguments, marked, self._run_dir.root, self._run_dir.gateway_output)
        deadline = time.monotonic() + START_SECONDS
        while self.live_address != address:
            ended = process is None or not processes.is_alive(process, self._origin)
            if ended and (refusal := _refusal(address)):
                raise refusal
            if ended or time.monotonic() > deadline:
                raise _not_started(self._run_dir, "It ended." if ended else f"Not there after {START_SECONDS:g} s.")
            time.sleep(_POLL_SECONDS)


def url_of(address: Address) -> str:
    host, port = address
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - listens everywhere: on this machine too
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refusal(address: Address) -> TargetError | None:
    """Why no process can listen at an address; None if one can."""
    for _ in range(_TAKEN_LOOKS):
        error = _bind_error(address)
        if error is None or error.errno != errno.EADDRINUSE:
            return _unusable(address, error) if error else None
        time.sleep(_TAKEN_PAUSE_SECONDS)
    return _taken(address)


def _bind_error(address: Address) -> OSError | None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: ended connections linger
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _taken(address: Address) -> TargetError:
    return TargetError(
        "The gateway's port is taken",
        f"Another process listens on {address[0]}:{address[1]}, where the URLs of all deployments here begin. They "
        "don't change by themselves: end that process, or name another port in platform.yaml (gateway: {port: …}).",
    )


def _unusable(address: Address, error: OSError) -> TargetError:
    return TargetError(
        "The gateway can't listen",
        f"{address[0]}:{address[1]}: {error.strerror or error}. Name another address in platform.yaml.",
    )


def _not_started(run_dir: RunDir, why: str) -> TargetError:
    said = "\n".join(last_lines(run_dir.gateway_output, 5))
    return TargetError("The gateway doesn't start", f"{why}\n{said}\nIts log: {run_dir.root / LOG_FILE}")
