"""What a watch knows of a real API server, also when the network between them fails."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import yaml

from reconciler.resources import ResourceId, variant_id
from reconciler.targets.kubernetes import informer as informer_module
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.informer import Informer
from reconciler.targets.kubernetes.objects import Object, ObjectRef, marks, selector
from tests.support.cluster import cluster
from tests.support.local import eventually
from tests.support.relay import Relay, relay

CONFIG_MAP = ("v1", "ConfigMap")


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found.kubeconfig


@dataclass
class Room:
    """Objects of variants in the namespace `default`, written by one client and watched by another through a relay."""

    kube: KubeClient
    relay: Relay
    informer: Informer
    installation: str
    changed: list[ResourceId] = field(default_factory=list)

    def write(self, name: str, **data: str) -> Object:
        metadata = {
            "name": f"{self.installation}-{name}",
            "namespace": "default",
            "labels": marks(self.installation, "fraud", "churn", name),
        }
        return self.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def remove(self, one: Object) -> None:
        self.kube.delete(ObjectRef.of(one), one["metadata"]["uid"])

    def versions(self, name: str) -> list[str]:
        return [one["metadata"]["resourceVersion"] for one in self.informer.of(variant(name))]

    def knows(self, one: Object) -> Callable[[], bool]:
        name = one["metadata"]["name"].removeprefix(f"{self.installation}-")
        return lambda: self.versions(name) == [one["metadata"]["resourceVersion"]]


def variant(name: str) -> ResourceId:
    return variant_id("fraud", name)


@pytest.fixture
def room(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(informer_module, "LONGEST_PAUSE", 0.1)
    document = yaml.safe_load(kubeconfig.read_text())
    (named,) = document["clusters"]
    address = urlsplit(named["cluster"]["server"])
    with relay((str(address.hostname), int(address.port or 443))) as through:
        named["cluster"]["server"] = f"https://127.0.0.1:{through.port}"
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
        kube, watching = KubeClient(ClusterSettings(kubeconfig)), KubeClient(ClusterSettings(tmp_path / "kubeconfig"))
        mark = f"w{secrets.token_hex(3)}"
        changed: list[ResourceId] = []
        informer = Informer(watching, CONFIG_MAP, selector(mark), changed.append)
        room = Room(kube, through, informer, mark, changed)
        yield room
        informer.end()
        for one in kube.list(*CONFIG_MAP, labels=selector(mark)):
            room.remove(one)
        watching.close()
        kube.close()


def test_what_was_there_before_and_what_comes_and_goes_is_known_by_whose_it_is(room: Room) -> None:
    before = room.write("a", size="1")
    room.informer.start()
    room.informer.check()
    assert room.knows(before)()
    changed, other = room.write("a", size="2"), room.write("b")
    eventually(room.knows(changed), "the change")
    eventually(room.knows(other), "the other")
    room.remove(other)
    eventually(lambda: room.versions("b") == [], "its removal")
    assert set(room.changed) == {variant("a"), variant("b")}


def test_what_happened_while_the_network_was_away_is_known_after_it(room: Room) -> None:
    goes, stays = room.write("goes"), room.write("stays")
    room.informer.start()
    room.informer.check()
    room.relay.refuses = True
    room.relay.cut()
    room.remove(goes)
    comes = room.write("comes")
    eventually(lambda: _error(room.informer) is Reason.UNREACHABLE, "who asks is told")
    room.relay.refuses = False
    eventually(room.knows(comes), "what came meanwhile")
    room.informer.check()
    assert room.versions("goes") == []
    assert room.knows(stays)()


def test_what_was_just_written_is_known_at_once_and_older_news_does_not_undo_it(room: Room) -> None:
    room.informer.start()
    room.informer.check()
    for number in range(20):
        written = room.write("a", size=str(number))
        room.informer.expect(written)
        assert room.knows(written)()


def test_a_watch_that_nobody_needs_any_more_ends_its_thread(room: Room) -> None:
    room.informer.start()
    room.informer.check()
    room.informer.end()
    eventually(lambda: "watch-ConfigMap" not in {thread.name for thread in threading.enumerate()}, "the end")


def _error(informer: Informer) -> Reason | None:
    try:
        informer.check()
    except KubeError as error:
        return error.reason
    return None


class Scripted(BaseHTTPRequestHandler):
    """An API server that lists one object, a newer one each time, and whose watches have all expired."""

    lists = 0

    def do_GET(self) -> None:
        if "watch=true" in self.path:
            gone = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"}
            self._answer({"type": "ERROR", "object": gone})
        elif "configmaps" in self.path:
            type(self).lists += 1
            metadata = {"name": "a", "uid": "u", "resourceVersion": str(self.lists), "labels": self.labels()}
            self._answer({"metadata": {"resourceVersion": str(self.lists)}, "items": [{"metadata": metadata}]})
        else:
            self._answer({"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]})

    def labels(self) -> dict[str, str]:
        return marks("scripted", "fraud", "churn", "a")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _answer(self, document: object) -> None:
        body = orjson.dumps(document) + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def scripted(folder: Path) -> Iterator[Path]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "s", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
            "users": [{"name": "s", "user": {}}],
            "contexts": [{"name": "s", "context": {"cluster": "s", "user": "s"}}],
            "current-context": "s",
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(document))
        yield folder / "kubeconfig"
        server.shutdown()


def test_a_watch_that_has_expired_is_begun_from_a_new_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer_module, "LONGEST_PAUSE", 0.01)
    with scripted(tmp_path) as kubeconfig:
        kube = KubeClient(ClusterSettings(kubeconfig))
        informer = Informer(kube, CONFIG_MAP, "", lambda _: None)
        informer.start()
        eventually(lambda: Scripted.lists > 3, "listed again and again")
        informer.check()
        (known,) = informer.of(variant("a"))
        assert int(known["metadata"]["resourceVersion"]) >= 3
        informer.end()
        eventually(lambda: "watch-ConfigMap" not in {thread.name for thread in threading.enumerate()}, "the end")
        kube.close()
