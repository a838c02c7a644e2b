"""The gateway's start, its reloads under load, what it tells of itself, and its end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from reconciler.targets.local.gateway.client import DRAIN_SECONDS, PORT_TAKEN, GatewayClient, GatewayError
from reconciler.targets.local.gateway.routes import ROUTES_FILE, RouteTable
from tests.support.gateway.process import CHURN, RunningGateway, churn, running_gateway, start_gateway, until, variant
from tests.support.gateway.upstreams import Upstream, upstream

CLIENTS = 8
RELOADS = 20


class Load:
    """Clients that ask without a pause, each on a connection that it keeps, half of them with a body."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.statuses: Counter[int] = Counter()
        self.errors: list[str] = []
        self._gateway = gateway
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(CLIENTS)]

    @contextmanager
    def held(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, with_body: bool) -> None:
        connection = self._gateway.connect()
        try:
            while not self._ended.is_set():
                connection.request("POST" if with_body else "GET", CHURN, b"{}" if with_body else None)
                response = connection.getresponse()
                response.read()
                self.statuses[response.status] += 1
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(repr(error))
        finally:
            connection.close()


def test_it_writes_down_where_it_listens(gateway: RunningGateway) -> None:
    info = gateway.client.info()
    assert info is not None
    assert info.pid == gateway.process.pid
    assert info.started == psutil.Process(info.pid).create_time()
    assert info.host == "127.0.0.1"
    assert gateway.ask("/health").status == 200


def test_the_admin_port_listens_on_loopback_only(gateway: RunningGateway) -> None:
    info = gateway.client.info()
    assert info is not None
    listening = {c.laddr for c in psutil.Process(info.pid).net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", info.port), ("127.0.0.1", info.admin_port)}


def test_a_taken_port_has_an_exit_code_and_one_line_of_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = start_gateway(tmp_path, port=port)
        _, said = process.communicate()
    assert process.returncode == PORT_TAKEN == 3
    assert said.decode() == f"gateway: can't listen on 127.0.0.1 port {port}: it is taken by another process\n"
    assert not GatewayClient(tmp_path).alive()


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 0), ("no.such.host.invalid", 0)])
def test_an_address_that_is_not_ours_is_another_error(tmp_path: Path, host: str, port: int) -> None:
    process = start_gateway(tmp_path, host=host, port=port)
    _, said = process.communicate()
    assert process.returncode == 1
    assert said.startswith(b"gateway: can't listen on ")
    assert said.count(b"\n") == 1


def test_it_does_not_start_with_a_table_that_it_can_not_read(tmp_path: Path) -> None:
    (tmp_path / ROUTES_FILE).write_text("{}")
    process = start_gateway(tmp_path)
    _, said = process.communicate()
    assert process.returncode == 1
    assert ROUTES_FILE in said.decode()


def test_it_starts_with_the_table_that_is_there(tmp_path: Path, behind: Upstream) -> None:
    with running_gateway(tmp_path, churn(variant("churn-a", behind.port))) as gateway:
        assert gateway.ask().status == 200


def test_it_serves_without_uvloop_too(tmp_path: Path, behind: Upstream) -> None:
    code = (
        "import sys; sys.modules['uvloop'] = None; from reconciler.targets.local.gateway.__main__ import main; main()"
    )
    with running_gateway(tmp_path, churn(variant("churn-a", behind.port)), start=("-c", code)) as gateway:
        assert gateway.ask(method="POST", body=b"x" * 100_000).status == 200
        gateway.process.terminate()
        assert gateway.process.wait(DRAIN_SECONDS) == 0


@pytest.mark.parametrize("broken", ["", "[]", '{"generation": 9}', '{"generation": 9, "routes": [{"tenant": "a b"}]}'])
def test_a_bad_table_is_refused_and_the_old_one_stays(gateway: RunningGateway, behind: Upstream, broken: str) -> None:
    generation = gateway.route(churn(variant("churn-a", behind.port)))
    (gateway.run_dir / ROUTES_FILE).write_text(broken)
    with pytest.raises(GatewayError, match=ROUTES_FILE):
        gateway.client.reload()
    assert gateway.client.status()["generation"] == generation
    assert gateway.ask().status == 200


def test_it_tells_what_is_in_flight_until_the_answer_is_sent(gateway: RunningGateway, behind: Upstream) -> None:
    gateway.route(churn(variant("churn-a", behind.port)))
    asking = threading.Thread(target=gateway.ask, args=("/fraud/churn/held",))
    asking.start()
    until(lambda: behind.holding == 1, "the request arrives")
    assert gateway.client.inflight("fraud/churn-a") == 1
    behind.release.set()
    asking.join()
    until(lambda: gateway.client.inflight("fraud/churn-a") == 0, "the request is done")


def test_a_variant_that_left_the_table_finishes_what_it_has(gateway: RunningGateway) -> None:
    statuses: list[int] = []
    with upstream("old") as old, upstream("new") as new:
        gateway.route(churn(variant("churn-old", old.port)))
        asking = threading.Thread(target=lambda: statuses.append(gateway.ask("/fraud/churn/held").status))
        asking.start()
        until(lambda: old.holding == 1, "the request arrives")
        gateway.route(churn(variant("churn-new", new.port)))
        assert gateway.client.inflight("fraud/churn-old") == 1
        assert {json.loads(gateway.ask().body)["upstream"] for _ in range(5)} == {"new"}
        old.release.set()
        asking.join()
    assert statuses == [200]
    until(lambda: gateway.client.inflights() == {}, "the old variant is drained")


def test_routes_change_under_load_without_one_lost_request(gateway: RunningGateway) -> None:
    load = Load(gateway)
    with ExitStack() as running:
        servers = [running.enter_context(upstream(str(number))) for number in range(RELOADS + 1)]
        gateway.route(churn(variant("churn-0", servers[0].port)))
        with load.held():
            for number in range(1, RELOADS + 1):
                replace(gateway, servers[number - 1], number - 1, servers[number], number)
    assert load.errors == []
    assert set(load.statuses) == {200}
    assert sum(load.statuses.values()) >= RELOADS * CLIENTS


def replace(gateway: RunningGateway, old: Upstream, old_number: int, new: Upstream, new_number: int) -> None:
    """Moves the traffic, and sees that the old server gets none once the gateway says that it is drained."""
    gateway.route(churn(variant(f"churn-{new_number}", new.port)))
    until(lambda: gateway.client.inflight(f"fraud/churn-{old_number}") == 0, "the old one drains")
    drained = old.requests
    until(lambda: new.requests >= CLIENTS, "the new one is asked")
    assert old.requests == drained


def test_a_killed_replica_costs_the_others_nothing(gateway: RunningGateway, behind: Upstream) -> None:
    with upstream("dying") as dying:
        gateway.route(churn(variant("churn-a", behind.port, dying.port)))
        assert {gateway.ask(method="POST", body=b"{}").status for _ in range(4)} == {200}
    assert {gateway.ask(method="POST", body=b"{}").status for _ in range(10)} == {200}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_answers_what_it_has_accepted(gateway: RunningGateway, behind: Upstream, number: int) -> None:
    statuses: list[int] = []
    gateway.route(churn(variant("churn-a", behind.port)))
    port = gateway.port
    asking = threading.Thread(target=lambda: statuses.append(gateway.ask("/fraud/churn/held").status))
    asking.start()
    until(lambda: behind.holding == 1, "the request arrives")
    os.kill(gateway.process.pid, number)
    until(lambda: not accepts(port), "nothing new is accepted")
    assert gateway.process.poll() is None
    behind.release.set()
    asking.join()
    assert statuses == [200]
    assert gateway.process.wait(DRAIN_SECONDS) == 0


def test_told_to_end_it_does_not_wait_for_connections_that_idle(gateway: RunningGateway) -> None:
    with gateway.speak(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n") as idle, gateway.speak(b"") as silent:
        assert idle.recv(65_536)
        gateway.process.terminate()
        assert idle.recv(65_536) == silent.recv(65_536) == b""
        assert gateway.process.wait(DRAIN_SECONDS) == 0


def test_the_client_tells_a_gateway_that_is_gone(gateway: RunningGateway) -> None:
    assert gateway.client.alive()
    gateway.process.kill()
    gateway.process.wait()
    assert not gateway.client.alive()
    with pytest.raises(GatewayError, match="not running"):
        gateway.client.reload()


def test_the_same_port_can_be_had_again_at_once(tmp_path: Path, behind: Upstream) -> None:
    RouteTable(1, (churn(variant("churn-a", behind.port)),)).write(tmp_path)
    with running_gateway(tmp_path) as gateway:
        port = gateway.port
        assert gateway.ask("/health").status == 200
        gateway.process.terminate()
        gateway.process.wait()
        again = start_gateway(tmp_path, port=port)
        try:
            until(gateway.client.alive, "it listens again")
            assert gateway.port == port
        finally:
            again.kill()
            again.communicate()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it stopped listening while we were in its queue
        return False
    return True
