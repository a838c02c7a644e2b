"""Stores used by real processes: killed in the middle, at once, with little memory, on a full disk."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.artifacts.protocol import ArtifactStore
from runtime.manifest import verify_folder
from tests.support.network.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.stores.rooms import cached
from tests.support.stores.s3_servers import S3Server, moto_server, rclone_server, versity_server
from tests.support.stores.worker import CROWD, HALFWAY, MIB, Big, finish, start

MODEL_MIB = 40  # five parts of an upload


class Place:
    """A store by the name that a worker takes, and the same one here."""

    def __init__(self, name: str, store: ArtifactStore, environment: dict[str, str]) -> None:
        self.name = name
        self.store = store
        self.environment = environment


def place_on(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    server.use(monkeypatch)
    bucket = server.make_bucket()
    return Place(f"{server.endpoint}/{bucket}", server.store(bucket), server.environment())


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_server(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="module")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with versity_server(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(params=["folder", "moto", "versitygw"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path / "store"), FilesystemStore(tmp_path / "store"), {})
    return place_on(request.getfixturevalue(request.param), monkeypatch)


@pytest.fixture
def proxy(moto: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(moto) as proxy:
        yield proxy


def test_a_put_killed_in_the_middle_leaves_nothing_visible_and_the_next_one_succeeds(
    place: Place, tmp_path: Path
) -> None:
    big = Big(MODEL_MIB)
    with start("put-and-wait", place.name, MODEL_MIB, environment=place.environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == HALFWAY
        assert place.store.list("fraud") == []
        process.kill()
    assert place.store.list("fraud") == []
    assert finish(start("put", place.name, MODEL_MIB, environment=place.environment))["outcome"] == "stored"
    assert place.store.list("fraud") == [big.ref]
    verify_folder(place.store.fetch(big.ref, tmp_path / "cache"), big.ref.digest)


def test_what_a_killed_put_left_in_a_folder_is_collected_and_a_living_one_is_let_be(tmp_path: Path) -> None:
    root, big = tmp_path / "store", Big(2)
    incoming = root / "fraud" / ".incoming"
    with start("put-and-wait", str(root), 2) as dead, start("put-and-wait", str(root), 2) as living:
        for process in (dead, living):
            assert process.stdout is not None
            assert process.stdout.readline().strip() == HALFWAY
        dead.kill()
        dead.wait()
        assert len([path for path in incoming.iterdir() if path.is_dir()]) == 2
        FilesystemStore(root).put(big.ref, big.manifest, big.contents(), lambda _: None)
        assert len([path for path in incoming.iterdir() if path.is_dir()]) == 1
        assert finish(living)["outcome"] == "stored"
    assert [path.name for path in incoming.iterdir()] == ["lock"]


def test_processes_that_put_the_same_version_at_once_all_succeed(place: Place, tmp_path: Path) -> None:
    big = Big(MODEL_MIB)
    processes = [start("put", place.name, MODEL_MIB, environment=place.environment) for _ in range(2)]
    assert [finish(process)["outcome"] for process in processes] == ["stored", "stored"]
    assert place.store.list("fraud") == [big.ref]
    verify_folder(place.store.fetch(big.ref, tmp_path / "cache"), big.ref.digest)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "rclone"], indirect=True)
def test_memory_does_not_grow_with_the_size_of_a_model(place: Place, tmp_path: Path) -> None:
    size = 256
    stored = finish(start("put", place.name, size, environment=place.environment))
    fetched = finish(start("fetch", place.name, size, tmp_path / "cache", environment=place.environment))
    assert stored["outcome"] == "stored"
    assert Path(fetched["outcome"]).is_dir()
    assert stored["grown"] < 96 * MIB
    assert fetched["grown"] < 96 * MIB


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_uploads(rclone: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place, size = place_on(rclone, monkeypatch), 64
    crowd = finish(start("crowd", place.name, size, environment=place.environment))
    assert crowd["outcome"] == "stored"
    assert len(place.store.list("fraud")) == CROWD
    assert crowd["grown"] < 320 * MIB  # without a bound on all of them together it is more than 400


def test_a_full_disk_under_a_folder_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "store"
    limited = finish(start("put", str(root), 8, environment={"FILE_SIZE_LIMIT": str(5 * MIB)}))
    assert limited["outcome"] == "No space left"
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["lock"]
    assert finish(start("put", str(root), 8))["outcome"] == "stored"


def test_a_full_disk_under_a_cache_is_said_and_leaves_nothing(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place, cache = place_on(moto, monkeypatch), tmp_path / "cache"
    assert finish(start("put", place.name, 8, environment=place.environment))["outcome"] == "stored"
    limits = {**place.environment, "FILE_SIZE_LIMIT": str(5 * MIB)}
    assert finish(start("fetch", place.name, 8, cache, limits))["outcome"] == "No space left"
    assert cached(cache) == []
    assert Path(finish(start("fetch", place.name, 8, cache, place.environment))["outcome"]).is_dir()


def test_processes_that_fetch_at_once_share_one_download(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    big = Big(4)
    place = place_on(proxy.server, monkeypatch)
    place.store.put(big.ref, big.manifest, big.contents(), lambda _: None)
    proxy.seen.clear()
    processes = [start("fetch", place.name, 4, tmp_path, place.environment) for _ in range(3)]
    assert {finish(process)["outcome"] for process in processes} == {str(tmp_path / "versions/fraud" / big.ref.hex)}
    assert sum(request.startswith("GET") and "model.onnx" in request for request in proxy.seen) == 1


def test_a_fetch_killed_in_the_middle_leaves_nothing_visible_and_the_next_one_succeeds(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    big = Big(MODEL_MIB)
    place = place_on(proxy.server, monkeypatch)
    place.store.put(big.ref, big.manifest, big.contents(), lambda _: None)
    reached, killed = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        killed.wait(30)

    proxy.faults.extend(
        [Fault(method="GET", path="model.onnx", times=2), Fault(method="GET", path="model.onnx", before=wait)]
    )
    process = start("fetch", place.name, MODEL_MIB, tmp_path, place.environment)
    assert reached.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    killed.set()
    assert cached(tmp_path) == []
    verify_folder(place.store.fetch(big.ref, tmp_path), big.ref.digest)
