"""A version's folder from a store in memory: what is asked for, what is kept, what is never there."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import DigestMismatch, ManifestError
from runtime.fetch import transfer
from runtime.fetch.errors import (
    AccessDeniedError,
    DiskFullError,
    DiskRefusedError,
    FetchError,
    ObjectAbsentError,
    RangeBeyondEndError,
    UnreachableError,
)
from runtime.fetch.retries import Patience
from runtime.fetch.store import Piece
from runtime.fetch.version import fetch_version, is_whole
from runtime.formats import Format
from runtime.manifest import Manifest, VersionRef, verify_folder

PATIENCE = Patience(tries=3, pause=lambda _: None)
PART = 64


class MemoryStore:
    """Answers ranges as S3 does. `before` is called with key and start before each answer, and may raise."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.asked: list[tuple[str, int]] = []
        self.before: Callable[[str, int], None] = lambda key, start: None
        self._lock = threading.Lock()

    def where(self, key: str) -> str:
        return f"s3://bucket/{key}"

    def read(self, key: str, start: int, length: int) -> Piece:
        with self._lock:
            self.asked.append((key.rpartition("/")[2], start))
            self.before(key.rpartition("/")[2], start)
        if key not in self.objects:
            raise ObjectAbsentError("No such object", key)
        data = self.objects[key]
        if start >= len(data):
            raise RangeBeyondEndError("too short", key)
        return Piece(data[start : start + length], len(data))

    def starts(self, name: str) -> list[int]:
        return sorted(start for asked, start in self.asked if asked == name)


class Version:
    def __init__(self, model: bytes, requirements: bytes | None = None) -> None:
        pinned = None if requirements is None else hashlib.sha256(requirements).hexdigest()
        self.manifest = Manifest.of(Format.ONNX, hashlib.sha256(model).hexdigest(), pinned)
        self.wanted = VersionRef("fraud", "churn", "v1", self.manifest.digest)
        files = {"model.onnx": model, "manifest.json": self.manifest.to_bytes()}
        if requirements is not None:
            files["requirements.txt"] = requirements
        self.store = MemoryStore({self.wanted.folder + name: data for name, data in files.items()})

    def key(self, name: str) -> str:
        return self.wanted.folder + name

    def fetch(self, folder: Path) -> None:
        fetch_version(self.store, self.wanted, folder, PATIENCE)
        verify_folder(folder, self.wanted.digest)

    def partial(self, folder: Path) -> Path:
        return folder / f".{self.manifest.artifact.sha256}.partial"


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PART", PART)


def test_a_version_arrives_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    Version(b"m" * 1000, b"numpy\n").fetch(tmp_path / "new" / "folder")
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert names == ["manifest.json", "model.onnx", "requirements.txt"]


@given(st.binary(max_size=10 * PART), st.integers(0, 10 * PART))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_any_beginning_is_continued_and_no_byte_asked_for_twice(
    tmp_path_factory: pytest.TempPathFactory, model: bytes, there: int
) -> None:
    folder, version = tmp_path_factory.mktemp("version"), Version(model)
    version.partial(folder).write_bytes(model[:there])
    version.fetch(folder)
    assert version.store.starts("model.onnx") == list(range(min(there, len(model)), len(model), PART))


@pytest.mark.parametrize("wrong", [b"other bytes", b"m" * 1000 + b"more", b"x" * 1000])
def test_a_beginning_that_is_not_one_is_given_up(tmp_path: Path, wrong: bytes) -> None:
    version = Version(b"m" * 1000)
    version.partial(tmp_path).write_bytes(wrong)
    version.fetch(tmp_path)


def test_nothing_is_asked_for_what_is_whole_though_not_yet_named(tmp_path: Path) -> None:
    version = Version(b"m" * 1000)
    version.partial(tmp_path).write_bytes(b"m" * 1000)
    version.fetch(tmp_path)
    assert version.store.starts("model.onnx") == []


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    version = Version(b"m" * 1000, b"numpy\n")
    version.fetch(tmp_path)
    (tmp_path / "requirements.txt").write_bytes(b"damaged")
    version.store.asked.clear()
    version.fetch(tmp_path)
    assert [name for name, _ in version.store.asked] == ["manifest.json", "requirements.txt"]


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    Version(b"m", b"").fetch(tmp_path)


def test_a_folder_is_whole_only_with_every_byte(tmp_path: Path) -> None:
    version = Version(b"m" * 1000)
    assert not is_whole(tmp_path, version.wanted.digest)
    version.fetch(tmp_path)
    assert is_whole(tmp_path, version.wanted.digest)
    assert not is_whole(tmp_path, "sha256:" + "0" * 64)
    (tmp_path / "model.onnx").write_bytes(b"m" * 999)
    assert not is_whole(tmp_path, version.wanted.digest)


def test_what_another_version_left_is_deleted_and_what_is_a_strangers_is_kept(tmp_path: Path) -> None:
    Version(b"old", b"pandas\n").fetch(tmp_path)
    (tmp_path / f".{'0' * 64}.partial").touch()
    (tmp_path / "notes.md").touch()
    Version(b"new").fetch(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "model.onnx", "notes.md"]
    assert (tmp_path / "model.onnx").read_bytes() == b"new"


def test_the_manifest_is_written_last(tmp_path: Path) -> None:
    version = Version(b"m" * 1000)
    version.fetch(tmp_path)
    (tmp_path / "model.onnx").unlink()

    def refuse(name: str, start: int) -> None:
        if name == "model.onnx":
            raise AccessDeniedError("no")

    version.store.before = refuse
    with pytest.raises(AccessDeniedError):
        version.fetch(tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_what_breaks_is_asked_again_and_what_came_is_kept(tmp_path: Path) -> None:
    version, broken = Version(bytes(range(250)) * 4), [4 * PART, 4 * PART, 4 * PART]

    def breaks(name: str, start: int) -> None:
        if name == "model.onnx" and start in broken:
            broken.remove(start)
            raise UnreachableError("gone")

    version.store.before = breaks
    with pytest.raises(UnreachableError):
        version.fetch(tmp_path)
    there = version.partial(tmp_path).stat().st_size
    assert there == 4 * PART
    version.store.asked.clear()
    version.fetch(tmp_path)
    assert min(version.store.starts("model.onnx")) == there


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
@pytest.mark.parametrize("stored", [b"", b"longer or shorter, but not it", b"m" * 999 + b"x"])
def test_other_bytes_than_were_pinned_are_refused_and_not_kept(tmp_path: Path, name: str, stored: bytes) -> None:
    version = Version(b"m" * 1000)
    version.store.objects[version.key(name)] = stored
    with pytest.raises(DigestMismatch) as raised:
        version.fetch(tmp_path)
    assert raised.value.file == f"s3://bucket/{version.key(name)}"
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_were_damaged_once_on_their_way_are_fetched_again(tmp_path: Path) -> None:
    version = Version(b"m" * 1000)
    right = version.store.objects[version.key("model.onnx")]
    version.store.objects[version.key("model.onnx")] = b"x" * 1000

    def mends(name: str, start: int) -> None:
        if version.store.starts("model.onnx").count(0) == 2:
            version.store.objects[version.key("model.onnx")] = right

    version.store.before = mends
    version.fetch(tmp_path)


def test_a_manifest_that_is_pinned_and_none_is_refused(tmp_path: Path) -> None:
    data = b'{"schema":2}'
    wanted = VersionRef("fraud", "churn", "v1", f"sha256:{hashlib.sha256(data).hexdigest()}")
    with pytest.raises(ManifestError):
        fetch_version(MemoryStore({f"{wanted.folder}manifest.json": data}), wanted, tmp_path, PATIENCE)


def test_a_version_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    version = Version(b"m")
    del version.store.objects[version.key("manifest.json")]
    with pytest.raises(ObjectAbsentError, match=r"manifest\.json.*push it again") as raised:
        version.fetch(tmp_path)
    assert raised.value.summary == "The version is not in the store"


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EROFS, DiskRefusedError)],
)
def test_what_the_disk_refuses_is_told_apart(tmp_path: Path, number: int, error: type[FetchError]) -> None:
    version = Version(b"m" * 1000)

    def refuse(name: str, start: int) -> None:
        raise OSError(number, "told to", str(tmp_path / name))

    version.store.before = refuse
    with pytest.raises(error, match="told to"):
        version.fetch(tmp_path)
