"""What of HTTP passes through the gateway unchanged, what does not, and what is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.support.gateway.process import RunningGateway, churn, read_all, running_gateway, variant
from tests.support.gateway.upstreams import Upstream, scripted, upstream


@pytest.fixture(scope="module")
def behind() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def echo(gateway: RunningGateway, behind: Upstream) -> RunningGateway:
    """A gateway whose one deployment answers with what it got."""
    gateway.route(churn(variant("churn-a", behind.port)))
    return gateway


def seen(body: bytes) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in json.loads(body)["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes_with_its_body(echo: RunningGateway, method: str) -> None:
    reply = json.loads(echo.ask(method=method, body=b"x" * 10).body)
    assert (reply["method"], reply["size"]) == (method, 10)


def test_head_has_the_length_and_no_body(echo: RunningGateway) -> None:
    reply = echo.ask(method="HEAD")
    assert reply.status == 200
    assert int(reply.headers["content-length"]) > 0
    assert reply.body == b""


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
def test_a_body_passes_whole_at_any_size(echo: RunningGateway, size: int) -> None:
    reply = echo.ask(method="POST", body=b"x" * size)
    assert json.loads(reply.body)["size"] == size
    assert seen(reply.body)["content-length"] == [str(size)]


def test_a_chunked_body_stays_chunked(echo: RunningGateway) -> None:
    reply = echo.ask(method="POST", body=iter([b"a" * 10, b"b" * 100_000]))
    assert json.loads(reply.body)["size"] == 100_010
    assert seen(reply.body)["transfer-encoding"] == ["chunked"]


def test_a_request_without_a_body_gets_none(echo: RunningGateway) -> None:
    headers = seen(echo.ask().body)
    assert "content-length" not in headers
    assert "transfer-encoding" not in headers


def test_the_replica_learns_for_whom_it_answers(echo: RunningGateway) -> None:
    headers = seen(echo.ask(headers={"Host": "models.example", "X-Forwarded-For": "203.0.113.7"}).body)
    assert headers["host"] == ["models.example"]
    assert headers["x-forwarded-for"] == ["203.0.113.7, 127.0.0.1"]
    assert headers["x-forwarded-proto"] == ["http"]


def test_the_chain_of_proxies_keeps_its_order_over_several_headers(gateway: RunningGateway) -> None:
    with scripted(lambda connection, _: connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        head = b"GET /fraud/churn/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        gateway.speak_and_listen(
            head + b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 203.0.113.8, 203.0.113.9\r\n\r\n"
        )
    assert b"\r\nX-Forwarded-For: 203.0.113.7, 203.0.113.8, 203.0.113.9, 127.0.0.1\r\n" in server.heads[0]


def test_headers_for_one_hop_go_no_further(echo: RunningGateway) -> None:
    sent = {
        "Connection": "keep-alive, X-Mine",
        "X-Mine": "1",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "X-Kept": "2",
    }
    headers = seen(echo.ask(headers=sent).body)
    assert headers["x-kept"] == ["2"]
    assert not {"connection", "x-mine", "keep-alive", "te"} & headers.keys()


def test_connection_can_not_strip_what_the_gateway_sets(echo: RunningGateway) -> None:
    headers = seen(echo.ask(headers={"Connection": "X-Forwarded-For, Host, X-Forwarded-Proto"}).body)
    assert headers["x-forwarded-for"] == ["127.0.0.1"]
    assert headers["host"] == [f"127.0.0.1:{echo.port}"]


def test_repeated_headers_stay_apart_in_both_directions(gateway: RunningGateway) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    with scripted(lambda connection, head: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        message = b"GET /fraud/churn/x HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n"
        received = gateway.speak_and_listen(message)
    assert received.count(b"Set-Cookie: ") == 2
    assert b"X-A: 1\r\nX-A: 2\r\n" in server.heads[0]


def test_compressed_bodies_are_left_alone(gateway: RunningGateway) -> None:
    packed = gzip.compress(b"predictions" * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with scripted(lambda connection, _: connection.sendall(head + packed)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        reply = gateway.ask(headers={"Accept-Encoding": "gzip"})
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.body == packed


@pytest.mark.parametrize("status", [201, 204, 304, 404, 418, 500, 503])
def test_a_replicas_own_status_passes(gateway: RunningGateway, status: int) -> None:
    answer = b"HTTP/1.1 %d Words of its own\r\nX-Own: yes\r\n" % status
    answer += b"\r\n" if status in (204, 304) else b"Content-Length: 2\r\n\r\nno"
    with scripted(lambda connection, _: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        received = gateway.speak_and_listen(b"GET /fraud/churn/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 %d Words of its own\r\n" % status)
    assert b"X-Own: yes\r\n" in received
    assert b"X-KubeServe-Variant: churn-a\r\n" in received


def test_an_answers_head_gets_no_more_than_who_gave_it(gateway: RunningGateway) -> None:
    answer = b"HTTP/1.1 200 Gr\xfcn\r\nx-OWN: \xe9\r\nContent-Length: 2\r\n\r\nok"
    with scripted(lambda connection, _: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        received = gateway.speak_and_listen(b"GET /fraud/churn/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    signed = b"X-KubeServe-Variant: churn-a\r\nX-KubeServe-Version: v1\r\n"
    ours = signed + b"Content-Length: 2\r\nConnection: close\r\n"
    assert received == b"HTTP/1.1 200 Gr\xfcn\r\nx-OWN: \xe9\r\n" + ours + b"\r\nok"


def test_http_1_0_may_keep_its_connection(echo: RunningGateway) -> None:
    asked = b"GET /fraud/churn/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with echo.speak(asked) as connection:
        for _ in range(2):
            assert b"\r\nConnection: keep-alive\r\n" in connection.recv(65_536)
            connection.sendall(asked)


def test_interim_answers_are_not_taken_for_the_answer(gateway: RunningGateway) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with scripted(lambda connection, _: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        reply = gateway.ask()
    assert (reply.status, reply.body) == (200, b"ok")


def test_a_replica_can_not_name_another_variant(gateway: RunningGateway) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-KubeServe-Variant: other\r\nContent-Length: 2\r\n\r\nok"
    with scripted(lambda connection, _: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        assert gateway.ask().headers["x-kubeserve-variant"] == "churn-a"


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_client_that_waits_for_permission_gets_it(echo: RunningGateway, size: int) -> None:
    head = b"POST /fraud/churn/predict HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\n"
    with echo.speak(head + b"Content-Length: %d\r\n\r\n" % size) as connection:
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"x" * size)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"size": %d' % size in answer


def test_a_client_that_waits_for_permission_is_refused_without_it(echo: RunningGateway) -> None:
    head = b"POST /fraud/nothing/predict HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with echo.speak(head) as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_http_1_0_is_answered_without_chunks(gateway: RunningGateway) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with scripted(lambda connection, _: connection.sendall(chunked)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        answer = gateway.speak_and_listen(b"GET /fraud/churn/x HTTP/1.0\r\n\r\n")
    assert b"Transfer-Encoding" not in answer
    assert answer.endswith(b"\r\n\r\nok")


def test_an_answer_that_ends_with_its_connection_passes(gateway: RunningGateway) -> None:
    with scripted(lambda connection, _: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nold style")) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        assert gateway.ask().body == b"old style"


def test_requests_may_follow_each_other_on_one_connection(echo: RunningGateway) -> None:
    one = b"GET /fraud/churn/1 HTTP/1.1\r\nHost: h\r\n\r\n"
    last = b"GET /fraud/churn/2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    answers = echo.speak_and_listen(one + last)
    assert answers.index(b"/fraud/churn/1") < answers.index(b"/fraud/churn/2")


_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    ("message", "status", "error"),
    [
        (b"GET /fraud/churn/x HTTP/1.1\r\nHost: h\r\n" + _UPGRADE, 501, "WebSocket is not supported"),
        (b"GET /nothing HTTP/1.1\r\nHost: h\r\n" + _UPGRADE, 501, "WebSocket is not supported"),
        (b"CONNECT example.org:443 HTTP/1.1\r\nHost: h\r\n", 501, "CONNECT is not supported"),
        (
            b"POST /fraud/churn/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n",
            501,
            "Unknown transfer coding",
        ),
        (b"GET /health HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n", 501, "Unknown transfer coding"),
        (
            b"POST /fraud/churn/x HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
            400,
            "The request is malformed",
        ),
        (b"GET /fraud/churn/x HTTP/2.0\r\nHost: h\r\n", 505, "Unknown version of HTTP"),
    ],
)
def test_what_is_not_implemented_is_refused_and_ends_the_connection(
    echo: RunningGateway, behind: Upstream, message: bytes, status: int, error: str
) -> None:
    before = behind.requests
    received = echo.speak_and_listen(message + b"\r\n")  # to the end: the gateway closes
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == str(status).encode()
    assert b"\r\nconnection: close" in head.lower()
    assert json.loads(body)["error"] == error
    assert behind.requests == before


def test_a_request_that_is_too_long_is_not_repeated_in_the_answer(echo: RunningGateway) -> None:
    received = echo.speak_and_listen(b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert received.startswith(b"HTTP/1.0 400 ")
    assert b"xxx" not in received


def test_chunked_is_known_in_any_spelling(echo: RunningGateway) -> None:
    message = b"POST /fraud/churn/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding:  Chunked \r\n\r\n"
    assert b'"size": 2' in echo.speak_and_listen(message + b"2\r\nok\r\n0\r\n\r\n")


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"chunked\r\nTransfer-Encoding: chunked", b"identity"])
def test_an_answer_in_an_unknown_transfer_coding_is_502(gateway: RunningGateway, coding: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with scripted(lambda connection, _: connection.sendall(answer)) as server:
        gateway.route(churn(variant("churn-a", server.port)))
        assert gateway.ask(method="POST", body=b"{}").status == 502


def test_other_upgrades_are_ignored(echo: RunningGateway) -> None:
    reply = echo.ask(headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AA"})
    assert reply.status == 200
    assert not {"upgrade", "http2-settings", "connection"} & seen(reply.body).keys()


_POST = b"POST /fraud/churn/predict HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize(
    "message",
    [
        _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        _POST + b"Content-Length: +5\r\n\r\nhello",
        _POST + b"Content-Length: 5, 5\r\n\r\nhello",
        _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        _POST + b"X-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
        _POST + b"X-A: 1\rX-B: 2\r\nContent-Length: 0\r\n\r\n",
        _POST + b"X-A: \x001\r\nContent-Length: 0\r\n\r\n",
        _POST + b"Host: other\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        _POST + b"A: b\r\n" * 1000 + b"\r\n",
        b"POST /fraud/churn/pre dict HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_refused(
    echo: RunningGateway, behind: Upstream, message: bytes
) -> None:
    before = behind.requests
    received = echo.speak_and_listen(message)
    assert received.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"] == "The request is malformed"
    assert behind.requests == before


@pytest.mark.parametrize("target", [b"*", b"fraud/churn/predict", b"ftp://host/fraud/churn/predict"])
def test_a_target_without_a_path_is_served_by_nobody(echo: RunningGateway, behind: Upstream, target: bytes) -> None:
    before = behind.requests
    answer = echo.speak_and_listen(b"OPTIONS %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % target)
    assert answer.split(b" ")[1] in (b"400", b"404")
    assert behind.requests == before
