"""What the runtime costs: one row over HTTP, against a bare ASGI application that calls the same model itself; and its
start.

    python tests/benchmarks/bench_runtime.py [--seconds 2] [--rounds 5] [--runtime FOLDER]

All on loopback, closed loop over one and over sixteen connections. `--runtime` names a checkout, such as that of an
earlier commit: it is measured beside this one, in rounds that take turns. The median round counts. CPU per request
depends least on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.runtime.models import train_logistic, write_python_predictor

ROOT = Path(__file__).parents[2]
CONNECTIONS = (1, 16)
BODY = b'{"inputs": [[0.1, 0.2, 0.3]]}'
REQUEST = b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
ANSWER_END = b"]}"

BARE = """
import sys, joblib, numpy, orjson, uvicorn
model = joblib.load(sys.argv[1])
async def app(scope, receive, send):
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    predictions = model.predict(numpy.array(orjson.loads(body)["inputs"], dtype=numpy.float64))
    answer = orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
uvicorn.run(app, port=int(sys.argv[2]), lifespan="off", log_level="error", access_log=False)
"""


@dataclass(frozen=True)
class Way:
    name: str
    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Of the process and, where it supervises one, of its server."""
        return sum(sum(each.cpu_times()[:2]) for each in (self.process, *self.process.children()))


class Client(asyncio.Protocol):
    """One connection of the closed loop."""

    def __init__(self, until: float, latencies: list[float]) -> None:
        self._until = until
        self._latencies = latencies
        self._received = b""
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(ANSWER_END):
            return
        assert self._received.startswith(b"HTTP/1.1 200"), self._received
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    def _send(self) -> None:
        self._received = b""
        self._sent = time.perf_counter()
        self._transport.write(REQUEST)


async def load(way: Way, connections: int, seconds: float) -> list[float]:
    """The latencies of one round, in seconds."""
    latencies: list[float] = []
    until, loop, clients = time.perf_counter() + seconds, asyncio.get_running_loop(), []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: Client(until, latencies), "127.0.0.1", way.port)
        clients.append(client)
    for client in clients:
        await client.ended.wait()
    return latencies


@contextmanager
def running(command: Sequence[str], checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    process = subprocess.Popen(command, cwd=checkout, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def runtime(artifact: Path, port: int) -> list[str]:
    return [sys.executable, "-P", "-m", "runtime", str(artifact), "--port", str(port), "--threads", "1"]


def until_answered(port: int, path: str) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in (404, 405, 500):
                return
            time.sleep(0.002)
        else:
            return


def measure_load(ways: list[Way], seconds: float, rounds: int) -> None:
    for connections in CONNECTIONS:
        rounds_of: dict[str, list[tuple[float, float, float]]] = {way.name: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                before = way.cpu_seconds()
                latencies = asyncio.run(load(way, connections, seconds))
                count, cpu = len(latencies), way.cpu_seconds() - before
                rounds_of[way.name].append((count / seconds, statistics.median(latencies) * 1e6, cpu / count * 1e6))
        print(f"\n{connections} connections{'':20}requests/s    p50 us    CPU us/request")
        for name, figures in rounds_of.items():
            per_second, p50, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
            print(f"  {name:30}{per_second:12.0f}{p50:10.0f}{cpu:12.0f}")


def measure_start(checkouts: dict[str, Path], artifacts: dict[str, Path], port: int, rounds: int) -> None:
    print(f"\nmilliseconds from the start of the process{'':8}/health    /ready")
    for kind, artifact in artifacts.items():
        starts: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
        for _ in range(rounds):
            for name, checkout in checkouts.items():
                started = time.perf_counter()
                with running(runtime(artifact, port), checkout):
                    until_answered(port, "/health")
                    alive = time.perf_counter() - started
                    until_answered(port, "/ready")
                    starts[name].append((alive * 1e3, (time.perf_counter() - started) * 1e3))
        for name, figures in starts.items():
            alive, ready = (statistics.median(column) for column in zip(*figures, strict=True))
            print(f"  {f'{name}, {kind}':46}{alive:10.0f}{ready:10.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--runtime", type=Path, action="append", default=[], help="another checkout to measure beside this"
    )
    options = parser.parse_args()
    checkouts = {"runtime": ROOT, **{f"runtime of {path.name}": path.resolve() for path in options.runtime}}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = train_logistic(folder / "model.joblib")
        echo = write_python_predictor(folder / "echo")
        ports = [FIRST_PORT + number for number in range(len(checkouts) + 2)]
        bare = stack.enter_context(running([sys.executable, "-c", BARE, str(model), str(ports[0])], ROOT))
        until_answered(ports[0], "/health")
        ways = [Way("bare application", ports[0], psutil.Process(bare.pid))]
        for (name, checkout), port in zip(checkouts.items(), ports[1:], strict=False):
            process = stack.enter_context(running(runtime(model, port), checkout))
            until_answered(port, "/ready")
            ways.append(Way(name, port, psutil.Process(process.pid)))
        measure_load(ways, options.seconds, options.rounds)
        measure_start(checkouts, {"joblib": model, "predictor.py": echo}, ports[-1], options.rounds)


FIRST_PORT = 18_750

if __name__ == "__main__":
    main()
