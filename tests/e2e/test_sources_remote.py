"""Remote artifacts over real TLS, and from a real S3 server: streamed, verified, limited, and never from inside."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from reconciler.artifacts.protocol import Content
from reconciler.artifacts.s3.client import S3Settings
from reconciler.sources import remote_access
from reconciler.sources.protocol import CHUNK, SourceError
from reconciler.sources.remote import MAX_REDIRECTS, Reach, open_remote
from specs.models.remote import RemotePolicy, StoreLocation
from tests.support.network.tls import Authority
from tests.support.stores.s3_servers import S3Server, moto_server

CONTENT = os.urandom(2 * CHUNK + 11)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ANYWHERE = RemotePolicy("fraud")


@dataclass
class Site:
    """An https server whose every path answers as it is told."""

    url: str = ""
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def site(authority: Authority) -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.requests.append((self.path, dict(self.headers)))
            self.close_connection = True
            state.answers.get(self.path.partition("?")[0], absent)(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients that leave early are what is tested

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = authority.server_context("localhost").wrap_socket(server.socket, server_side=True)
    state.url = f"https://localhost:{server.server_address[1]}"
    state.answers["/model.onnx"] = whole
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch(authority: Authority) -> Callable[..., bytes]:
    def fetch_(
        url: str,
        sha256: str = SHA256,
        max_bytes: int = 10 * CHUNK,
        policy: RemotePolicy = ANYWHERE,
        **reach: float,
    ) -> bytes:
        how = Reach(tls=authority.client_context(), **reach)  # type: ignore[arg-type]
        return read(open_remote(url, sha256, policy=policy, max_bytes=max_bytes, allow_private=True, reach=how))

    return fetch_


def read(content: Content) -> bytes:
    with content.open() as chunks:
        return b"".join(chunks)


def answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 200, {"Content-Length": str(len(CONTENT))}, CONTENT)


def absent(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 404, {"Content-Length": "0"})


def chunked(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 200, {"Transfer-Encoding": "chunked"})
    for start in range(0, len(CONTENT), 100_000):
        piece = CONTENT[start : start + 100_000]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def of_unknown_length(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 200, {"Connection": "close"}, CONTENT)


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 200, {"Content-Length": str(len(CONTENT))}, CONTENT[:CHUNK])


def leading_to(location: str, status: int = 302) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: answer(handler, status, {"Location": location, "Content-Length": "0"})


def test_a_file_is_streamed_in_chunks(site: Site, authority: Authority) -> None:
    how = Reach(tls=authority.client_context())
    content = open_remote(
        f"{site.url}/model.onnx", SHA256, policy=ANYWHERE, max_bytes=10 * CHUNK, allow_private=True, reach=how
    )
    for _ in range(2):  # a retry opens it again
        with content.open() as chunks:
            pieces = list(chunks)
        assert b"".join(pieces) == CONTENT
        assert max(map(len, pieces)) <= CHUNK
    assert len(site.requests) == 2
    assert site.requests[0][1]["Host"] == site.url.removeprefix("https://")


@pytest.mark.parametrize("how", [chunked, of_unknown_length])
def test_a_file_of_unknown_length_is_read(
    site: Site, fetch: Callable[..., bytes], how: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    site.answers["/x"] = how
    assert fetch(f"{site.url}/x") == CONTENT


def test_nothing_is_asked_before_the_content_is_opened(site: Site) -> None:
    open_remote(f"{site.url}/model.onnx", SHA256, policy=ANYWHERE, max_bytes=1)
    assert site.requests == []


def test_other_bytes_than_those_that_were_pinned_are_an_error_at_the_end(
    site: Site, fetch: Callable[..., bytes]
) -> None:
    with pytest.raises(SourceError, match="not those that were pinned") as caught:
        fetch(f"{site.url}/model.onnx", "0" * 64)
    assert SHA256 not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("how", [whole, chunked, of_unknown_length])
def test_a_file_that_is_too_large_is_not_read_to_its_end(
    site: Site, fetch: Callable[..., bytes], how: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    site.answers["/x"] = how
    with pytest.raises(SourceError, match="too large"):
        fetch(f"{site.url}/x", max_bytes=CHUNK)


def test_a_file_of_just_the_allowed_size_is_read(site: Site, fetch: Callable[..., bytes]) -> None:
    assert fetch(f"{site.url}/model.onnx", max_bytes=len(CONTENT)) == CONTENT


def test_a_connection_that_breaks_is_an_error_and_not_a_short_file(site: Site, fetch: Callable[..., bytes]) -> None:
    site.answers["/x"] = cut_off
    with pytest.raises(SourceError, match="can't be read") as caught:
        fetch(f"{site.url}/x")
    assert caught.value.retryable


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (403, False), (404, False), (429, True), (503, True)])
def test_an_answer_that_is_no_file_is_an_error(
    site: Site, fetch: Callable[..., bytes], status: int, retryable: bool
) -> None:
    site.answers["/x"] = lambda handler: answer(handler, status, {"Content-Length": "6"}, b"s3cret")
    with pytest.raises(SourceError, match=f"HTTP {status}") as caught:
        fetch(f"{site.url}/x?signature=s3cret")
    assert caught.value.retryable == retryable
    assert "s3cret" not in str(caught.value)


def test_this_machine_and_its_network_are_not_reached(site: Site, authority: Authority) -> None:
    how = Reach(tls=authority.client_context())
    with pytest.raises(SourceError, match="inside a private network"):
        read(open_remote(f"{site.url}/model.onnx", SHA256, policy=ANYWHERE, max_bytes=10 * CHUNK, reach=how))
    assert site.requests == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    site: Site, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers otherwise the second time (DNS rebinding) is not asked a second time."""
    asked: list[str] = []
    ask = socket.getaddrinfo

    def rebinding(host: str, port: Any, *args: Any, **options: Any) -> Any:
        if host == "localhost":
            asked.append(host)
            return ask("127.0.0.1" if len(asked) == 1 else "192.0.2.1", port, *args, **options)
        return ask(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    how = Reach(tls=authority.client_context())
    content = open_remote(
        f"{site.url}/model.onnx", SHA256, policy=ANYWHERE, max_bytes=10 * CHUNK, allow_private=True, reach=how
    )
    assert read(content) == CONTENT
    assert asked == ["localhost"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(site: Site, fetch: Callable[..., bytes], status: int) -> None:
    site.answers["/old"] = leading_to("/model.onnx", status)
    assert fetch(f"{site.url}/old") == CONTENT


def test_redirects_are_limited(site: Site, fetch: Callable[..., bytes]) -> None:
    site.answers["/loop"] = leading_to("/loop")
    with pytest.raises(SourceError, match="Too many redirects"):
        fetch(f"{site.url}/loop")
    assert len(site.requests) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("location", ["http://localhost/x", "file:///etc/passwd", "https://u:p@localhost/x", ""])
def test_a_redirect_to_anything_but_https_is_refused(site: Site, fetch: Callable[..., bytes], location: str) -> None:
    site.answers["/old"] = leading_to(location)
    with pytest.raises(SourceError):
        fetch(f"{site.url}/old")
    assert len(site.requests) == 1


def test_each_redirect_is_checked_again(site: Site, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host counts as public here, so that what it leads to is what is refused."""
    monkeypatch.setattr(remote_access, "is_public", lambda address: address == "127.0.0.1")
    site.answers["/old"] = leading_to("https://169.254.169.254/latest/meta-data/?token=s3cret")
    how = Reach(tls=authority.client_context())
    with pytest.raises(SourceError, match=r"'169\.254\.169\.254' is 169\.254\.169\.254") as caught:
        read(open_remote(f"{site.url}/old", SHA256, policy=ANYWHERE, max_bytes=CHUNK, reach=how))
    assert "s3cret" not in str(caught.value)


def test_an_unknown_certificate_is_refused(site: Site) -> None:
    content = open_remote(f"{site.url}/model.onnx", SHA256, policy=ANYWHERE, max_bytes=CHUNK, allow_private=True)
    with pytest.raises(SourceError, match="No trusted connection") as caught:
        read(content)
    assert not caught.value.retryable
    assert site.requests == []


def test_a_certificate_of_another_host_is_refused(site: Site, fetch: Callable[..., bytes]) -> None:
    with pytest.raises(SourceError, match="No trusted connection"):
        fetch(site.url.replace("localhost", "127.0.0.1") + "/model.onnx")


def test_a_server_that_falls_silent_is_given_up(site: Site, fetch: Callable[..., bytes]) -> None:
    done = Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200, {"Content-Length": str(len(CONTENT))}, CONTENT[:10])
        done.wait(30)

    site.answers["/x"] = silent
    try:
        with pytest.raises(SourceError, match="ReadTimeoutError") as caught:
            fetch(f"{site.url}/x", read_seconds=0.2)
        assert caught.value.retryable
    finally:
        done.set()


def test_a_server_that_drips_is_given_up(site: Site, fetch: Callable[..., bytes]) -> None:
    done = Event()

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200, {"Content-Length": str(len(CONTENT))})
        while not done.wait(0.02):
            handler.wfile.write(b"x")

    site.answers["/x"] = dripping
    try:
        with pytest.raises(SourceError, match="takes too long") as caught:
            fetch(f"{site.url}/x", total_seconds=0.3)
        assert caught.value.retryable
    finally:
        done.set()


def test_a_server_that_is_away_is_tried_again_later(fetch: Callable[..., bytes]) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError, match="can't be read") as caught:
            fetch(f"https://127.0.0.1:{reserved.getsockname()[1]}/x")
    assert caught.value.retryable


def test_a_host_that_does_not_exist_is_tried_again_later(fetch: Callable[..., bytes]) -> None:
    with pytest.raises(SourceError, match="can't be found") as caught:
        fetch("https://host.invalid/x")
    assert caught.value.retryable


def test_a_proxy_of_the_environment_is_not_used(
    site: Site, fetch: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert fetch(f"{site.url}/model.onnx") == CONTENT


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_server(tmp_path_factory.mktemp("moto")) as server:
        yield server


def test_an_object_of_s3_is_streamed_and_verified(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.use(monkeypatch)
    bucket = s3.make_bucket()
    key = "models/churn v2?#%.onnx"
    s3.client.put_object(Bucket=bucket, Key=key, Body=CONTENT)
    how = Reach(s3=S3Settings(s3.endpoint, path_style=True))
    url = f"s3://{bucket}/{key}"
    policy = RemotePolicy("fraud", (f"s3://{bucket}/models/",))
    assert read(open_remote(url, SHA256, policy=policy, max_bytes=10 * CHUNK, reach=how)) == CONTENT
    with pytest.raises(SourceError, match="not those that were pinned"):
        read(open_remote(url, "0" * 64, policy=policy, max_bytes=10 * CHUNK, reach=how))
    with pytest.raises(SourceError, match="too large"):
        read(open_remote(url, SHA256, policy=policy, max_bytes=CHUNK, reach=how))


def test_an_object_of_s3_that_is_absent_is_an_error_that_says_so(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.use(monkeypatch)
    how = Reach(s3=S3Settings(s3.endpoint, path_style=True))
    bucket = s3.make_bucket()
    policy = RemotePolicy("fraud", (f"s3://{bucket}",))
    with pytest.raises(SourceError, match="No such object") as caught:
        read(open_remote(f"s3://{bucket}/absent", SHA256, policy=policy, max_bytes=CHUNK, reach=how))
    assert not caught.value.retryable


@pytest.mark.parametrize("grant", ["s3://{bucket}/team", "s3://{bucket}/team/a.onnx", "s3://{bucket}-secret/"])
def test_an_object_outside_of_the_grants_is_not_asked_for(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, grant: str
) -> None:
    s3.use(monkeypatch)
    bucket = s3.make_bucket()
    s3.client.put_object(Bucket=bucket, Key="team-secret/model.onnx", Body=CONTENT)
    how = Reach(s3=S3Settings(s3.endpoint, path_style=True))
    policy = RemotePolicy("fraud", (grant.format(bucket=bucket),))
    url = f"s3://{bucket}/team-secret/model.onnx"
    with pytest.raises(SourceError, match="is not granted") as caught:
        read(open_remote(url, SHA256, policy=policy, max_bytes=10 * CHUNK, reach=how))
    assert f'"s3://{bucket}/team-secret/"' in caught.value.detail
    assert SHA256 not in str(caught.value)


def test_an_object_of_the_store_is_refused_though_it_is_granted(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.use(monkeypatch)
    bucket = s3.make_bucket()
    s3.client.put_object(Bucket=bucket, Key="models/fraud/m.onnx", Body=CONTENT)
    how = Reach(s3=S3Settings(s3.endpoint, path_style=True))
    policy = RemotePolicy("search", (f"s3://{bucket}/",), StoreLocation(bucket, "models/"))
    with pytest.raises(SourceError, match="store's own objects"):
        read(open_remote(f"s3://{bucket}/models/fraud/m.onnx", SHA256, policy=policy, max_bytes=10 * CHUNK, reach=how))


def test_a_redirect_stays_within_the_grants(site: Site, fetch: Callable[..., bytes]) -> None:
    port = int(site.url.rpartition(":")[2])
    only = RemotePolicy("fraud", (f"https://localhost:{port}",))
    site.answers["/inside"] = leading_to("/model.onnx")
    assert fetch(f"{site.url}/inside", policy=only) == CONTENT
    site.answers["/outside"] = leading_to(f"https://127.0.0.1:{port}/model.onnx?signature=s3cret")
    with pytest.raises(SourceError, match="is not granted") as caught:
        fetch(f"{site.url}/outside", policy=only)
    assert [path for path, _ in site.requests] == ["/inside", "/model.onnx", "/outside"]
    assert f"https://127.0.0.1:{port}" in caught.value.detail
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("where", ["/b/models/x", "/b/%6dodels/x", "/b/other/../models/x", "/b?prefix=models/"])
def test_a_redirect_into_the_store_is_refused(site: Site, fetch: Callable[..., bytes], where: str) -> None:
    store = StoreLocation("b", "models/", frozenset({"localhost"}))
    site.answers["/old"] = leading_to(where)
    with pytest.raises(SourceError, match="store's own objects"):
        fetch(f"{site.url}/old", policy=RemotePolicy("fraud", store=store))
    assert [path for path, _ in site.requests] == ["/old"]


def test_the_store_is_refused_under_another_name_of_its_server(site: Site, fetch: Callable[..., bytes]) -> None:
    """The endpoint is known by its address here, and the URL has a name that resolves to it."""
    site.answers["/b/models/x"] = site.answers["/b/public/x"] = whole
    store = StoreLocation("b", "models/", frozenset({"127.0.0.1"}))
    policy = RemotePolicy("fraud", store=store)
    with pytest.raises(SourceError, match="store's own objects"):
        fetch(f"{site.url}/b/models/x", policy=policy)
    assert site.requests == []
    assert fetch(f"{site.url}/b/public/x", policy=policy) == CONTENT
