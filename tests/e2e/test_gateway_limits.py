"""What one replica or one client can do to everybody else's requests: nothing, because every part of it has a limit."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from reconciler.targets.local.gateway.balance import Balancer
from reconciler.targets.local.gateway.listener import PublicServer
from reconciler.targets.local.gateway.metrics import Metrics
from reconciler.targets.local.gateway.pages import Pages
from reconciler.targets.local.gateway.proxy import Proxy
from reconciler.targets.local.gateway.routes import RouteTable
from reconciler.targets.local.gateway.upstream import close_idle
from tests.support.gateway.process import CHURN, RunningGateway, churn, running_gateway, until, variant
from tests.support.gateway.upstreams import Script, Upstream, scripted, upstream

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
POST = b"POST /fraud/churn/predict HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def endless(head: bytes, piece: bytes, ended: threading.Event | None = None) -> Script:
    """Sends a head, then pieces until the gateway closes the connection, and reports that it did."""

    def pour(connection: socket.socket, _: bytes) -> None:
        try:
            connection.sendall(head)
            while True:
                connection.sendall(piece)
        except OSError:
            if ended is not None:
                ended.set()

    return pour


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, id="interim answers"),
        pytest.param(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", id="one interim answer after the other"),
        pytest.param(OK, b"A: b\r\n" * 1000, id="headers"),
        pytest.param(OK + b"A: ", b"x" * 10_000, id="a header"),
        pytest.param(b"HTTP/1.1 200 ", b"x" * 10_000, id="a reason phrase"),
    ],
)
def test_a_head_without_end_is_502(gateway: RunningGateway, head: bytes, piece: bytes) -> None:
    ended = threading.Event()
    with scripted(endless(head, piece, ended)) as hostile:
        gateway.route(churn(variant("churn-a", hostile.port), seconds=60))
        assert gateway.ask(method="POST", body=b"{}").status == 502
        assert ended.wait(20)
        assert gateway.ask("/health").status == 200


def test_as_many_interim_answers_as_a_server_may_send_are_passed_over(gateway: RunningGateway) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 16 + OK + b"Content-Length: 2\r\n\r\nok"
    with scripted(lambda connection, _: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        assert gateway.ask().body == b"ok"


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n" * 100, OK + b"Content-Length: 0\r\n\r\n"])
def test_what_a_replica_sends_unasked_ends_its_connection(gateway: RunningGateway, piece: bytes) -> None:
    ended = threading.Event()
    with scripted(endless(OK + b"Content-Length: 2\r\n\r\nok", piece, ended)) as hostile:
        gateway.route(churn(variant("churn-a", hostile.port)))
        assert gateway.ask(method="POST", body=b"{}").status == 200
        assert ended.wait(20)


def test_a_connection_that_speaks_while_it_is_unused_is_closed(gateway: RunningGateway) -> None:
    ended, asked = threading.Event(), threading.Event()

    def speaks_later(connection: socket.socket, head: bytes) -> None:
        connection.sendall(OK + b"Content-Length: 2\r\n\r\nok")
        asked.wait(20)
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, ended)(connection, head)

    with scripted(speaks_later) as hostile:
        gateway.route(churn(variant("churn-a", hostile.port)))
        assert gateway.ask().body == b"ok"
        asked.set()
        assert ended.wait(20)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(CHUNKED, b"1\r\nx\r\n" * 1000, id="chunks of a byte"),
        pytest.param(CHUNKED + b"1;a=", b"x" * 10_000, id="a chunk extension"),
        pytest.param(b"", b"\r\n" * 10_000, id="empty lines"),
        pytest.param(CHUNKED, b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n", id="a body"),
    ],
)
def test_others_are_answered_while_an_answer_does_not_end(gateway: RunningGateway, head: bytes, piece: bytes) -> None:
    with scripted(endless(head, piece)) as hostile:
        gateway.route(churn(variant("churn-a", hostile.port), seconds=300))
        with gateway.speak(b"GET /fraud/churn/x HTTP/1.1\r\nHost: h\r\n\r\n") as connection:
            until(lambda: gateway.client.inflight("fraud/churn-a") == 1, "the request is in flight")
            taking = threading.Thread(target=_take_all, args=(connection,), daemon=True)
            taking.start()
            assert {gateway.ask("/health").status for _ in range(20)} == {200}
            assert gateway.client.inflight("fraud/churn-a") == 1
            connection.shutdown(socket.SHUT_RDWR)
            taking.join()


def _take_all(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(1_000_000):
            pass


def test_trailers_without_end_cut_the_answer(gateway: RunningGateway) -> None:
    ended = threading.Event()
    with scripted(endless(CHUNKED + b"2\r\nok\r\n0\r\n", b"A: b\r\n" * 1000, ended)) as hostile:
        gateway.route(churn(variant("churn-a", hostile.port), seconds=60))
        received = gateway.speak_and_listen(b"GET /fraud/churn/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert b" 502 " in received or not received.endswith(b"0\r\n\r\n")
        assert ended.wait(20)


def test_an_error_in_the_middle_of_a_body_is_400_at_once(gateway: RunningGateway) -> None:
    with upstream() as server:
        gateway.route(churn(variant("churn-a", server.port), seconds=300))
        with gateway.speak(POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n") as connection:
            until(lambda: gateway.client.inflight("fraud/churn-a") == 1, "the request is in flight")
            connection.sendall(b"zz\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@asynccontextmanager
async def served(table: RouteTable, **limits: float) -> AsyncIterator[tuple[PublicServer, int]]:
    """A gateway's public side in this process, with limits that a test can reach, and its port."""
    metrics = Metrics()
    balancer = Balancer(metrics.arrived, metrics.departed)
    balancer.swap(table)
    pages = Pages(balancer, metrics)
    proxy = Proxy(balancer, metrics, pages, int(limits.get("open_requests", 100)))
    server = PublicServer(proxy, limits.get("head_seconds", 300), int(limits.get("connections", 100)))
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        yield server, await server.listen(listener)
    finally:
        await server.drain(0)
        close_idle(balancer.replicas())
        await asyncio.sleep(0)


async def close(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def sent(port: int, message: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message)
    return reader, writer


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and JSON of an answer that ends with its connection or its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split(b" ")[1]), json.loads(await reader.readexactly(length))


async def refused_slow_head(server: PublicServer, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    reading = asyncio.create_task(answered(reader))
    async with asyncio.timeout(20):
        while not reading.done():
            server.refuse_slow_heads()
            await asyncio.sleep(0.01)
    return reading.result()


@pytest.mark.parametrize("part", [b"G", b"\r\n", b"GET /health HTTP/1.1\r\nHost: h\r\n"])
def test_a_head_that_does_not_come_to_its_end_is_408(part: bytes) -> None:
    async def run() -> None:
        async with served(RouteTable(1, ()), head_seconds=0.05) as (server, port):
            reader, writer = await sent(port, part)
            status, body = await refused_slow_head(server, reader)
            assert (status, body["error"]) == (408, "The request took too long to arrive")
            assert await reader.read() == b""
            await close(writer)

    asyncio.run(run())


def test_a_later_head_on_the_same_connection_has_its_limit_too() -> None:
    async def run() -> None:
        async with served(RouteTable(1, ()), head_seconds=0.05) as (server, port):
            reader, writer = await sent(port, b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await answered(reader))[0] == 200
            writer.write(b"GET /hea")
            assert (await refused_slow_head(server, reader))[0] == 408
            await close(writer)

    asyncio.run(run())


def test_time_without_a_head_is_no_slow_head() -> None:
    """A new connection, one that waits for its next request, and one whose request is being answered."""

    async def run(behind: Upstream) -> None:
        table = RouteTable(1, (churn(variant("churn-a", behind.port)),))
        async with served(table, head_seconds=0.0) as (server, port):
            new, new_writer = await sent(port, b"")
            used, used_writer = await sent(port, b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await answered(used))[0] == 200
            busy, busy_writer = await sent(port, b"GET /fraud/churn/held HTTP/1.1\r\nHost: h\r\n\r\n")
            async with asyncio.timeout(20):
                while not behind.holding:
                    await asyncio.sleep(0.01)
            server.refuse_slow_heads()
            behind.release.set()
            assert (await answered(busy))[0] == 200
            for reader, writer in ((new, new_writer), (used, used_writer)):
                writer.write(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
                assert (await answered(reader))[0] == 200
            await close(new_writer, used_writer, busy_writer)

    with upstream() as behind:
        asyncio.run(run(behind))


def test_the_open_requests_of_one_deployment_are_limited_and_leave_others_alone() -> None:
    async def run(behind: Upstream) -> None:
        table = RouteTable(1, (churn(variant("churn-a", behind.port)),))
        async with served(table, open_requests=2) as (_, port):
            held = [await sent(port, b"GET /fraud/churn/held HTTP/1.1\r\nHost: h\r\n\r\n") for _ in range(2)]
            async with asyncio.timeout(20):
                while behind.holding < 2:
                    await asyncio.sleep(0.01)
            reader, writer = await sent(port, f"GET {CHURN} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            status, body = await answered(reader)
            assert (status, body["error"]) == (503, "Too many requests")
            writer.write(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await answered(reader))[0] == 200
            behind.release.set()
            assert [(await answered(reader))[0] for reader, _ in held] == [200, 200]
            writer.write(f"GET {CHURN} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert (await answered(reader))[0] == 200
            await close(writer, *(each for _, each in held))

    with upstream() as behind:
        asyncio.run(run(behind))


def test_of_too_many_connections_the_oldest_unused_one_is_closed() -> None:
    """So that one client that opens many can't keep out all others."""
    health = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"

    async def run(behind: Upstream) -> None:
        table = RouteTable(1, (churn(variant("churn-a", behind.port)),))
        async with served(table, connections=4) as (_, port):
            busy, busy_writer = await sent(port, b"GET /fraud/churn/held HTTP/1.1\r\nHost: h\r\n\r\n")
            async with asyncio.timeout(20):
                while not behind.holding:
                    await asyncio.sleep(0.01)
            unused = [await sent(port, health) for _ in range(3)]
            assert [(await answered(reader))[0] for reader, _ in unused] == [200] * 3
            newer = [await sent(port, health) for _ in range(2)]
            assert [(await answered(reader))[0] for reader, _ in newer] == [200] * 2
            assert [await reader.read() for reader, _ in unused[:2]] == [b"", b""]
            unused[2][1].write(health)
            assert (await answered(unused[2][0]))[0] == 200
            behind.release.set()
            assert (await answered(busy))[0] == 200
            await close(busy_writer, *(writer for _, writer in unused + newer))

    with upstream() as behind:
        asyncio.run(run(behind))


def test_a_connection_beyond_those_that_are_all_in_use_is_503() -> None:
    async def run(behind: Upstream) -> None:
        table = RouteTable(1, (churn(variant("churn-a", behind.port)),))
        async with served(table, connections=2) as (_, port):
            held = [await sent(port, b"GET /fraud/churn/held HTTP/1.1\r\nHost: h\r\n\r\n") for _ in range(2)]
            async with asyncio.timeout(20):
                while behind.holding < 2:
                    await asyncio.sleep(0.01)
            reader, writer = await sent(port, b"")
            status, body = await answered(reader)
            assert (status, body["error"]) == (503, "Too many connections")
            assert await reader.read() == b""
            behind.release.set()
            assert [(await answered(reader))[0] for reader, _ in held] == [200, 200]
            await close(writer, *(each for _, each in held))

    with upstream() as behind:
        asyncio.run(run(behind))
