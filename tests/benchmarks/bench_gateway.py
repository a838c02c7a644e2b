"""What the gateway costs: requests through it against requests to the variant itself, and a bare aiohttp proxy as peer.

    python tests/benchmarks/bench_gateway.py [--seconds 2] [--rounds 3]

All on loopback, closed loop: each connection sends its next request when it has the answer. The variant is an ASGI
application that answers at once, so that what is measured is the way and not the model. Rounds of all ways follow
each other in turn, and the median round counts. CPU per request is that of the proxy's process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.gateway.process import churn, running_gateway, until, variant
from tests.support.gateway.upstreams import closed_port

CONNECTIONS = (1, 16)
MOST_REQUESTS = 100_000  # of one round
BODY = b'{"inputs": [[0.1, 3.2, 1.0]]}'
ANSWER = b'{"predictions": [1]}'
REQUEST = (
    b"POST /fraud/churn/predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
)

VARIANT = f"""
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"{len(ANSWER)}")]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": {ANSWER!r}}})
uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", log_level="error", access_log=False, timeout_keep_alive=75)
"""

PEER = """
import asyncio, sys, aiohttp, uvloop
from aiohttp import web
async def main(port, upstream):
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        async def proxy(request):
            url = f"http://127.0.0.1:{upstream}{request.path_qs}"
            headers = {"Content-Type": request.headers["Content-Type"]}
            async with session.request(request.method, url, data=await request.read(), headers=headers) as answer:
                headers = {"Content-Type": answer.headers["Content-Type"]}
                return web.Response(status=answer.status, body=await answer.read(), headers=headers)
        runner = web.ServerRunner(web.Server(proxy, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()
uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


@dataclass(frozen=True)
class Way:
    name: str
    port: int
    pid: int


@dataclass(frozen=True)
class Figures:
    per_second: float
    p50: float  # milliseconds
    p99: float
    cpu: float  # microseconds of the process that was asked, per request


class Client(asyncio.Protocol):
    """One connection of the closed loop."""

    def __init__(self, until: float, latencies: list[float]) -> None:
        self._message = REQUEST % (len(BODY), BODY)
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
        if not self._received.endswith(ANSWER):
            return
        assert self._received.startswith(b"HTTP/1.1 200"), self._received
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if now < self._until and len(self._latencies) < MOST_REQUESTS:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    def _send(self) -> None:
        self._received = b""
        self._sent = time.perf_counter()
        self._transport.write(self._message)


async def load(way: Way, connections: int, seconds: float) -> Figures:
    latencies: list[float] = []
    process = psutil.Process(way.pid)
    cpu_before, started = sum(process.cpu_times()[:2]), time.perf_counter()
    loop, clients = asyncio.get_running_loop(), []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: Client(started + seconds, latencies), "127.0.0.1", way.port)
        clients.append(client)
    for client in clients:
        await client.ended.wait()
    took, cpu = time.perf_counter() - started, sum(process.cpu_times()[:2]) - cpu_before
    cuts = statistics.quantiles(latencies, n=100)
    return Figures(len(latencies) / took, cuts[49] * 1e3, cuts[98] * 1e3, cpu / len(latencies) * 1e6)


@contextmanager
def process(code: str, *ports: int) -> Iterator[int]:
    command = (sys.executable, "-c", code, *map(str, ports))
    with subprocess.Popen(command) as started:
        try:
            until(lambda: _listens(started.pid), "it listens")
            yield started.pid
        finally:
            started.kill()


def _listens(pid: int) -> bool:
    return any(connection.status == psutil.CONN_LISTEN for connection in psutil.Process(pid).net_connections())


def measure(ways: list[Way], connections: int, seconds: float, rounds: int) -> None:
    figures: dict[str, list[Figures]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            figures[way.name].append(asyncio.run(load(way, connections, seconds)))
    medians = {name: sorted(found, key=lambda f: f.per_second)[rounds // 2] for name, found in figures.items()}
    direct, through, peer = (medians[way.name] for way in ways)
    print(f"\n{connections} connections{'':14}requests/s    p50 ms    p99 ms   CPU us/request")
    for name, median in medians.items():
        print(f"  {name:26}{median.per_second:10.0f}{median.p50:10.2f}{median.p99:10.2f}{median.cpu:12.0f}")
    share, added = through.per_second / direct.per_second, through.p50 - direct.p50
    print(f"  gateway / direct: {share:.2f} of the requests, {added:+.2f} ms")
    share, cpu = through.per_second / peer.per_second, through.cpu / peer.cpu
    print(f"  gateway / bare proxy: {share:.2f} of the requests, {cpu:.2f} of the CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as running:
        upstream, peer = closed_port(), closed_port()
        variant_pid = running.enter_context(process(VARIANT, upstream))
        peer_pid = running.enter_context(process(PEER, peer, upstream))
        run_dir = Path(running.enter_context(tempfile.TemporaryDirectory()))
        gateway = running.enter_context(running_gateway(run_dir, churn(variant("churn-a", upstream))))
        ways = [
            Way("the variant itself", upstream, variant_pid),
            Way("through the gateway", gateway.port, gateway.process.pid),
            Way("through a bare proxy", peer, peer_pid),
        ]
        for connections in CONNECTIONS:
            measure(ways, connections, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
