"""Requests that are slow, endless, too many or no HTTP are refused in JSON, and block no others."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.patience import eventually
from tests.support.runtime.models import write_python_predictor
from tests.support.runtime.process import DEADLINE_SECONDS, RuntimeProcess

HEAD = b"POST /predict HTTP/1.1\r\nHost: h\r\n"
REQUEST = HEAD + b'Content-Length: 15\r\n\r\n{"inputs": [1]}'
WAITS = """
    import time

    class Predictor:
        def __init__(self, path):
            self.path = path

        def predict(self, inputs):
            while not (self.path / "go").exists():
                time.sleep(0.01)
            return [len(inputs[0])]
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeProcess]:
    folder = tmp_path_factory.mktemp("limits")
    options = ["--head-timeout", "1", "--request-timeout", "2", "--max-body", "65536"]
    with RuntimeProcess(folder / "run", write_python_predictor(folder / "model"), *options) as process:
        yield process.wait_until_ready()


class Client:
    """One connection on which bytes are sent as they are."""

    def __init__(self, runtime: RuntimeProcess) -> None:
        record = runtime.record
        self.socket = socket.create_connection((record["host"], record["port"]), DEADLINE_SECONDS)

    def send(self, data: bytes) -> bool:
        """False once the server has closed the connection."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def drip(self, data: bytes) -> None:
        """Sends what is needed, one byte at a time, until the server has had enough."""
        self.socket.settimeout(0.1)
        for byte in data:
            if not self.send(bytes([byte])) or self._has_answer():
                break
        self.socket.settimeout(DEADLINE_SECONDS)

    def answers(self) -> list[tuple[int, Any]]:
        """All that comes until the server closes the connection: status and JSON of each answer."""
        received = b""
        try:
            while data := self.socket.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        heads = re.split(rb"HTTP/1\.1 ", received)[1:]
        assert all(b"content-type: application/json" in head for head in heads), received
        return [(int(head[:3]), json.loads(head.partition(b"\r\n\r\n")[2])) for head in heads]

    def _has_answer(self) -> bool:
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK)) or True
        except TimeoutError:
            return False


@pytest.fixture
def client(runtime: RuntimeProcess) -> Iterator[Client]:
    client = Client(runtime)
    with closing(client.socket):
        yield client


def only_error(client: Client) -> tuple[int, str]:
    ((status, document),) = client.answers()
    return status, document["error"]["code"]


@pytest.mark.parametrize("first", [b"", REQUEST], ids=["the first", "a later one"])
@pytest.mark.parametrize("drop", [b"POST /predict HTTP/1.1\r\nA: " + b"a" * 200, b"\r\n" * 100], ids=["head", "blank"])
def test_a_head_that_comes_byte_by_byte_is_given_up(client: Client, first: bytes, drop: bytes) -> None:
    client.send(first)
    if first:
        answer = b""
        while not answer.endswith(b'{"predictions":[1]}'):
            answer += client.socket.recv(65536)
    client.drip(drop)
    assert only_error(client) == (408, "head_timeout")


def test_a_body_that_comes_byte_by_byte_is_given_up(client: Client) -> None:
    client.send(HEAD + b"Content-Length: 1000\r\n\r\n")
    client.drip(b" " * 1000)
    assert only_error(client) == (408, "body_timeout")


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\nX",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nTrailer: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;extension=",
    ],
    ids=["path", "value", "name", "trailer", "chunk extension"],
)
def test_a_head_without_end_is_refused(client: Client, start: bytes) -> None:
    assert client.send(start)
    for _ in range(100):
        if not client.send(b"a" * 65536):
            break
    assert only_error(client) in ((431, "head_too_large"), (400, "bad_request"))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
        b"no http at all\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT host:443 HTTP/1.1\r\nHost: h\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        HEAD + b"bad header\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_json(client: Client, garbage: bytes) -> None:
    client.send(garbage)
    assert only_error(client) == (400, "bad_request")


def test_a_request_before_garbage_is_answered(client: Client) -> None:
    client.send(REQUEST + b"garbage\r\n\r\n")
    assert client.answers() == [(200, {"predictions": [1]})]


def test_an_upgrade_is_ignored(client: Client) -> None:
    client.send(b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n")
    assert client.answers() == [(200, {"status": "alive"})]


def test_an_upgrade_with_a_body_is_refused(client: Client) -> None:
    client.send(HEAD + b'Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 15\r\n\r\n{"inputs": [1]}')
    ((status, document),) = client.answers()
    assert (status, document["error"]["code"]) == (400, "bad_request")
    assert "leave out the header Upgrade" in document["error"]["message"]


def test_an_answer_that_is_not_read_does_not_keep_its_connection(tmp_path: Path) -> None:
    body = "class Predictor:\n def __init__(self, path): ...\n def predict(self, inputs): return ['x' * 50_000_000]"
    model = write_python_predictor(tmp_path / "model", body)
    with RuntimeProcess(tmp_path / "run", model, "--request-timeout", "1") as runtime:
        runtime.wait_until_ready()
        client = Client(runtime)
        with closing(client.socket):
            client.send(REQUEST)
            port = client.socket.getsockname()[1]
            server = runtime.server
            eventually(lambda: port in peers(server), "not connected")
            eventually(lambda: port not in peers(server), "still connected")


def peers(server: psutil.Process) -> list[int]:
    """The ports of those who are connected."""
    return [connection.raddr.port for connection in server.net_connections() if connection.raddr]


def test_waiting_bodies_hold_a_limited_number_of_bytes(tmp_path: Path) -> None:
    mebi, model = 1024**2, write_python_predictor(tmp_path / "model", WAITS)
    options = ["--concurrency", "1", "--max-body", str(2 * mebi), "--max-waiting", str(5 * mebi)]
    with RuntimeProcess(tmp_path / "run", model, *options) as runtime, ThreadPoolExecutor(12) as pool:
        runtime.wait_until_ready()
        body = {"inputs": ["x" * mebi]}
        sent = [pool.submit(runtime.post, "/predict", body) for _ in range(12)]
        early = [done.result() for done in islice(as_completed(sent), 8)]
        assert {answer.status_code for answer in early} == {503}
        assert {answer.json()["error"]["code"] for answer in early} == {"busy"}
        assert {answer.headers["retry-after"] for answer in early} == {"1"}
        assert runtime.get("/health").status_code == 200
        (model / "go").touch()
        answers = [request.result().status_code for request in sent]
        assert answers.count(200) == 4
        assert runtime.predict(["x" * 2 * (mebi - 100)]) == [2 * (mebi - 100)], "the bytes were given back"


@pytest.mark.parametrize("unit", ["[]", '{"a":1}'])
def test_many_small_values_are_refused_before_they_fill_the_memory(tmp_path: Path, unit: str) -> None:
    with RuntimeProcess(tmp_path / "run", write_python_predictor(tmp_path / "model")) as runtime:
        server = runtime.wait_until_ready().server
        before = server.memory_info().rss
        count = (16 * 1024**2 - 100) // (len(unit) + 1)
        refused = runtime.post("/predict", f'{{"inputs": [{",".join([unit] * count)}]}}'.encode())
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_many_values")
        [peak_kib] = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())
        assert int(peak_kib) * 1024 - before < 5 * 16 * 1024**2


def test_more_connections_than_it_may_have_files_are_refused_and_it_goes_on(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model")
    command = ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", sys.executable, "-m", "runtime", str(model)]
    with RuntimeProcess(tmp_path / "run", tmp_path, command=command) as runtime:
        runtime.wait_until_ready()
        clients = [Client(runtime) for _ in range(240)]
        refused = [only_error(client) for client in clients[-10:]]
        assert set(refused) == {(503, "busy")}
        for client in clients:
            client.socket.close()
        eventually(lambda: runtime.get("/health").status_code == 200, "it does not answer any more")
