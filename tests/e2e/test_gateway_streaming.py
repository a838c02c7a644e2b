"""Bodies pass as they come: nothing waits for their end, and nothing holds them whole."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil
import pytest

from tests.support.gateway.process import CHURN, RunningGateway, churn, variant
from tests.support.gateway.upstreams import Upstream, scripted

MEGABYTE = 1024 * 1024
BODY_MEGABYTES = 200
MEMORY_MEGABYTES = 20  # what may be held of a body, in all buffers of both sides


@contextmanager
def answer_of(gateway: RunningGateway) -> Iterator[http.client.HTTPResponse]:
    """An answer that has begun, its body not read."""
    with closing(gateway.connect()) as connection:
        connection.request("GET", CHURN)
        with connection.getresponse() as response:
            yield response


class Memory:
    """The most memory that a process had while it was watched, beyond what it had before; in megabytes."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = self._process.memory_info().rss
        self._most = self._before

    def look(self) -> None:
        self._most = max(self._most, self._process.memory_info().rss)

    @property
    def grown(self) -> float:
        return (self._most - self._before) / MEGABYTE


def test_a_big_upload_does_not_lie_in_memory(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port)))
    gateway.ask(method="POST", body=b"x" * MEGABYTE)
    memory = Memory(gateway.process.pid)

    def body() -> Iterator[bytes]:
        for _ in range(BODY_MEGABYTES):
            yield b"x" * MEGABYTE
            memory.look()

    headers = {"Content-Length": str(BODY_MEGABYTES * MEGABYTE)}
    assert (
        json.loads(gateway.ask(method="POST", body=body(), headers=headers).body)["size"] == BODY_MEGABYTES * MEGABYTE
    )
    assert json.loads(gateway.ask(method="POST", body=body()).body)["size"] == BODY_MEGABYTES * MEGABYTE
    assert memory.grown < MEMORY_MEGABYTES


@pytest.mark.parametrize("chunked", [False, True])
def test_a_big_answer_does_not_lie_in_memory(gateway: RunningGateway, chunked: bool) -> None:
    def answers(connection: socket.socket, head: bytes) -> None:
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (BODY_MEGABYTES * MEGABYTE)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n")
        part = b"x" * MEGABYTE
        for _ in range(BODY_MEGABYTES):
            connection.sendall(b"%x\r\n%s\r\n" % (MEGABYTE, part) if chunked else part)
        connection.sendall(b"0\r\n\r\n" if chunked else b"")

    with scripted(answers) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        memory, received = Memory(gateway.process.pid), 0
        with answer_of(gateway) as response:
            while data := response.read(MEGABYTE):
                received += len(data)
                memory.look()
    assert received == BODY_MEGABYTES * MEGABYTE
    assert memory.grown < MEMORY_MEGABYTES


def test_a_client_that_does_not_read_holds_its_replica_back(gateway: RunningGateway) -> None:
    sent, gone = threading.Event(), threading.Event()

    def answers(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * MEGABYTE))
        try:
            connection.sendall(b"x" * (100 * MEGABYTE))
            sent.set()
        finally:
            gone.set()

    with scripted(answers) as server:
        gateway.route(churn(variant("churn-a", server.port), seconds=1.0))
        memory = Memory(gateway.process.pid)
        with answer_of(gateway):
            assert gone.wait(20)
            memory.look()
    assert not sent.is_set()
    assert memory.grown < MEMORY_MEGABYTES


def test_parts_of_an_answer_arrive_before_its_end(gateway: RunningGateway) -> None:
    received = threading.Semaphore(0)

    def answers(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            connection.sendall(b"9\r\ndata: 1\n\n\r\n")
            assert received.acquire(timeout=10)
        connection.sendall(b"0\r\n\r\n")

    with scripted(answers) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        with answer_of(gateway) as response:
            for _ in range(3):
                assert response.read(9) == b"data: 1\n\n"
                received.release()
            assert response.read() == b""


def test_parts_of_a_body_arrive_before_its_end(gateway: RunningGateway) -> None:
    arrived = threading.Semaphore(0)

    def listens(connection: socket.socket, head: bytes) -> None:
        body = head.partition(b"\r\n\r\n")[2]
        for count in (1, 2):
            while body.count(b"part") < count:
                body += connection.recv(65_536)
            arrived.release()
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def body() -> Iterator[bytes]:
        for _ in range(2):
            yield b"part"
            assert arrived.acquire(timeout=10)

    with scripted(listens) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        assert gateway.ask(method="POST", body=body()).status == 200
