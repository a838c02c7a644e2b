"""What a client gets when a replica, or the client itself, does not do its part."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator

import psutil
import pytest

from tests.support.gateway.process import CHURN, RunningGateway, churn, read_all, running_gateway, until, variant
from tests.support.gateway.upstreams import Upstream, closed_port, scripted

POST = b"POST /fraud/churn/predict HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_replica_that_refuses_is_passed_over_for_another(
    gateway: RunningGateway, behind: Upstream, size: int
) -> None:
    gateway.route(churn(variant("churn-a", closed_port(), behind.port, closed_port())))
    for _ in range(6):
        reply = gateway.ask(method="POST", body=b"x" * size)
        assert (reply.status, json.loads(reply.body)["size"]) == (200, size)


def test_when_all_replicas_refuse_it_is_503(gateway: RunningGateway) -> None:
    gateway.route(churn(variant("churn-a", closed_port(), closed_port())))
    reply = gateway.ask(method="POST", body=b"{}")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.headers["x-kubeserve-variant"] == "churn-a"


def test_a_request_that_may_have_been_worked_on_is_not_sent_again(gateway: RunningGateway) -> None:
    with scripted(lambda connection, head: None) as dying:
        gateway.route(churn(variant("churn-a", dying.port, dying.port)))
        reply = gateway.ask(method="POST", body=b"{}")
        assert dying.connections == 1
    assert reply.status == 502
    assert json.loads(reply.body)["error"] == "The model did not answer"


def test_a_request_that_changes_nothing_is_sent_again_elsewhere(gateway: RunningGateway, behind: Upstream) -> None:
    with scripted(lambda connection, head: None) as dying:
        gateway.route(churn(variant("churn-a", dying.port, behind.port)))
        assert {gateway.ask().status for _ in range(4)} == {200}
        assert dying.connections >= 1


def test_an_end_without_an_answer_is_502_for_long_bodies_too(gateway: RunningGateway) -> None:
    def takes_a_part(connection: socket.socket, head: bytes) -> None:
        connection.recv(100_000)

    with scripted(takes_a_part) as dying:
        gateway.route(churn(variant("churn-a", dying.port)))
        for _ in range(5):
            with gateway.speak(POST + b"Content-Length: 200000\r\n\r\n" + b"x" * 150_000) as connection:
                assert connection.recv(65_536).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")


def test_what_is_no_http_is_502(gateway: RunningGateway) -> None:
    with scripted(lambda connection, head: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as stranger:
        gateway.route(churn(variant("churn-a", stranger.port)))
        assert gateway.ask().status == 502


def test_an_answer_that_switches_protocols_is_502(gateway: RunningGateway) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    with scripted(lambda connection, head: connection.sendall(switching)) as stranger:
        gateway.route(churn(variant("churn-a", stranger.port)))
        assert gateway.ask().status == 502


def test_a_header_that_would_break_the_answer_is_502(gateway: RunningGateway) -> None:
    broken = b"HTTP/1.1 200 OK\r\nX-A: 1\x01\rX-B: 2\r\nContent-Length: 0\r\n\r\n"
    with scripted(lambda connection, head: connection.sendall(broken)) as stranger:
        gateway.route(churn(variant("churn-a", stranger.port)))
        assert gateway.ask().status == 502


def test_a_small_answer_that_breaks_off_is_502(gateway: RunningGateway) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    with scripted(lambda connection, head: connection.sendall(half)) as dying:
        gateway.route(churn(variant("churn-a", dying.port)))
        assert gateway.ask(method="POST", body=b"{}").status == 502


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_a_long_answer_that_breaks_off_is_seen_to_break_off(gateway: RunningGateway, half: bytes) -> None:
    broken = threading.Event()

    def dies(connection: socket.socket, head: bytes) -> None:
        connection.sendall(half)
        broken.wait(10)

    with scripted(dies) as dying:
        gateway.route()
        gateway.route(churn(variant("churn-cut", dying.port)))
        connection = gateway.connect()
        connection.request("GET", CHURN)
        response = connection.getresponse()
        assert response.read(4)
        broken.set()
        with pytest.raises(http.client.IncompleteRead):
            response.read()
        connection.close()
        counted = gateway.ask("/metrics").body.decode()
    assert 'requests_total{code="502",deployment="churn",tenant="fraud",variant="churn-cut"} 1.0' in counted


def test_a_model_that_takes_too_long_is_504(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port), seconds=0.2))
    reply = gateway.ask("/fraud/churn/held", "POST", b"{}")
    assert reply.status == 504
    assert reply.headers["x-kubeserve-variant"] == "churn-a"
    assert "0.2 s" in json.loads(reply.body)["detail"]
    assert gateway.client.inflights() == {}


def test_an_answer_that_does_not_end_in_time_is_cut(gateway: RunningGateway) -> None:
    released = threading.Event()

    def dawdles(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        released.wait(10)

    with scripted(dawdles) as slow:
        gateway.route(churn(variant("churn-a", slow.port), seconds=0.2))
        with pytest.raises(http.client.IncompleteRead):
            gateway.ask()
        released.set()


def test_a_body_that_does_not_arrive_in_time_is_408(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port), seconds=0.2))
    message = POST + b"Content-Length: 10\r\n\r\nhalf"
    with gateway.speak(message) as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert behind.requests == 0


def test_a_client_that_leaves_takes_its_request_with_it(gateway: RunningGateway) -> None:
    ended = threading.Event()

    def watches(connection: socket.socket, head: bytes) -> None:
        assert connection.recv(1) == b""
        ended.set()

    with scripted(watches) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        client = gateway.speak(b"GET /fraud/churn/predict HTTP/1.1\r\nHost: h\r\n\r\n")
        until(lambda: gateway.client.inflight("fraud/churn-a") == 1, "the request is in flight")
        client.close()
        assert ended.wait(10)
        until(lambda: gateway.client.inflights() == {}, "the request is no longer in flight")
    assert 'code="499",deployment="churn"' in gateway.ask("/metrics").body.decode()


def test_a_client_that_leaves_in_its_body_takes_its_request_with_it(gateway: RunningGateway) -> None:
    ended = threading.Event()

    def watches(connection: socket.socket, head: bytes) -> None:
        while connection.recv(65_536):
            pass
        ended.set()

    with scripted(watches) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        client = gateway.speak(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 200_000)
        until(lambda: gateway.client.inflight("fraud/churn-a") == 1, "the request is in flight")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert ended.wait(10)


def test_a_replica_may_refuse_a_long_body_before_it_has_read_it(gateway: RunningGateway) -> None:
    refusal = b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 2\r\n\r\nno"

    def refuses(connection: socket.socket, head: bytes) -> None:
        connection.sendall(refusal)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    with scripted(refuses) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        head = POST + b"Content-Length: 50000000\r\n\r\n"
        with gateway.speak(head + b"x" * 100_000) as connection:
            assert connection.recv(65_536).startswith(b"HTTP/1.1 413 Request Entity Too Large\r\n")


def test_a_body_beyond_any_reason_is_413_before_it_is_sent(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port)))
    message = POST + b"Content-Length: 1073741825\r\n\r\n"
    with gateway.speak(message) as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 Request Entity Too Large\r\n")
    assert behind.requests == 0


@pytest.mark.parametrize("start", [b"", b"10000\r\n" + b"x" * 65_536 + b"\r\n"])
def test_a_chunked_body_that_is_malformed_is_400(gateway: RunningGateway, start: bytes) -> None:
    def listens(connection: socket.socket, head: bytes) -> None:
        read_all(connection)

    with scripted(listens) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        with gateway.speak(head + start + b"zz\r\nnot a chunk\r\n") as connection:
            assert connection.recv(65_536).split(b" ")[1] == b"400"


def test_a_failure_of_one_request_leaves_the_next_alone(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port), seconds=0.2))
    assert gateway.ask("/fraud/churn/held").status == 504
    behind.release.set()
    assert gateway.ask().status == 200


def test_a_connection_that_its_replica_closed_is_not_used_again(gateway: RunningGateway) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with scripted(lambda connection, head: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        for count in range(3):
            assert gateway.ask(method="POST", body=b"{}").status == 200
            assert server.connections == count + 1
            until(lambda: connections(gateway, server.port) == 0, "the gateway sees that it was closed")


def test_a_connection_is_kept_for_the_next_request(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port)))
    for _ in range(5):
        assert gateway.ask(method="POST", body=b"{}").status == 200
    assert connections(gateway, behind.port) == 1


def test_connections_to_a_replica_that_left_are_closed(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port)))
    assert gateway.ask().status == 200
    gateway.route()
    until(lambda: connections(gateway, behind.port) == 0, "the connection is closed")


def connections(gateway: RunningGateway, port: int) -> int:
    opened = psutil.Process(gateway.process.pid).net_connections()
    return sum(bool(connection.raddr) and connection.raddr.port == port for connection in opened)


@pytest.mark.parametrize("failure", ["no answer", "503"])
def test_a_replica_that_is_not_ready_any_more_comes_last_until_it_is(
    gateway: RunningGateway, behind: Upstream, failure: str
) -> None:
    """One whose prediction never ends, say; it takes connections all the time."""
    ready, ended = threading.Event(), threading.Event()

    def hangs(connection: socket.socket, head: bytes) -> None:
        if ready.is_set():
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
        elif head.startswith(b"GET /ready ") or failure == "503":
            connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno")
        else:
            ended.wait(20)

    with scripted(hangs) as hanging:
        gateway.route()
        gateway.route(churn(variant("churn-a", hanging.port, behind.port), seconds=0.3))
        answers = [gateway.ask(method="POST", body=b"{}").status for _ in range(12)]
        assert sorted(answers) == [200] * 11 + [504 if failure == "no answer" else 503]
        gateway.route(churn(variant("churn-a", hanging.port, behind.port), seconds=30))
        ready.set()
        until(lambda: gateway.ask(method="POST", body=b"{}").body == b"again", "it gets requests again")
        ended.set()
