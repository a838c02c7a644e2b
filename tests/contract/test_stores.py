"""The laws of every store, held on a folder and on three S3 servers over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.artifacts.protocol import StoreError, VersionRef
from runtime.manifest import MANIFEST_NAME, verify_folder
from tests.support.runtime.versions import MIB, MODEL, REQUIREMENTS, Version, content, silent, some_bytes
from tests.support.stores.rooms import BucketRoom, FolderRoom, StoreRoom, at_once, cached
from tests.support.stores.s3_servers import S3Server

SMALL = Version(b"\x08 a model", b"numpy\n")
LARGE = Version(some_bytes(18 * MIB + 5), b"numpy\n")  # three parts of an upload
OTHER = Version(b"\x08 another model")

S3 = ("moto", "rclone", "versitygw")


@pytest.fixture(params=["folder", *S3])
def room(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    s3_servers: Callable[[str], S3Server],
    monkeypatch: pytest.MonkeyPatch,
) -> StoreRoom:
    if request.param == "folder":
        return FolderRoom(tmp_path / "store")
    server = s3_servers(request.param)
    server.use(monkeypatch)
    return BucketRoom(server)


class UnreadableError(Exception):
    pass


def unreadable() -> None:
    raise UnreadableError


@pytest.mark.parametrize(
    "version", [SMALL, LARGE, OTHER, Version(b"\x08", b"")], ids=["small", "large", "bare", "empty"]
)
def test_what_was_put_is_listed_described_and_fetched(room: StoreRoom, version: Version, tmp_path: Path) -> None:
    store = room.store
    version.put(store)
    folder = room.store.fetch(version.ref, tmp_path / "cache")
    assert store.list("fraud") == [version.ref]
    assert store.manifest(version.ref) == version.manifest
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST_NAME} == version.files
    assert verify_folder(folder, version.ref.digest) == version.manifest


def test_a_version_lies_under_tenant_model_version_and_digest(room: StoreRoom) -> None:
    SMALL.put(room.store)
    folder = f"fraud/churn/v1/{SMALL.ref.digest.removeprefix('sha256:')}"
    assert room.names() == [f"{folder}/{MANIFEST_NAME}", f"{folder}/{MODEL}", f"{folder}/{REQUIREMENTS}"]
    assert room.read(SMALL.ref, MANIFEST_NAME) == SMALL.manifest.to_bytes()


def test_progress_adds_up_to_the_bytes_that_were_sent(room: StoreRoom) -> None:
    steps: list[int] = []
    LARGE.put(room.store, steps.append)
    assert sum(steps) == len(LARGE.model) + len(b"numpy\n")
    assert len(steps) >= 4


def test_putting_again_reads_nothing_and_changes_nothing(room: StoreRoom) -> None:
    SMALL.put(room.store)
    contents = {name: content(b"", at_end=unreadable) for name in SMALL.files}
    room.store.put(SMALL.ref, SMALL.manifest, contents, silent)
    assert room.store.list("fraud") == [SMALL.ref]


def test_a_name_that_is_taken_is_refused_with_advice_to_name_a_new_version(room: StoreRoom) -> None:
    SMALL.put(room.store)
    before = room.names()
    with pytest.raises(StoreError, match="already stored with another digest") as caught:
        OTHER.put(room.store)
    assert SMALL.ref.digest in caught.value.detail
    assert "name a new version" in caught.value.detail
    assert room.names() == before


def test_other_names_beside_it_are_free(room: StoreRoom) -> None:
    versions = [SMALL, replace(SMALL, name="v2"), replace(OTHER, name="1.10_rc-1"), replace(OTHER, tenant="fraud-2")]
    for version in versions:
        version.put(room.store)
    assert room.store.list("fraud") == sorted(version.ref for version in versions[:3])
    assert room.store.list("fraud-2") == [versions[3].ref]
    assert room.store.list("frau") == []


@pytest.mark.parametrize("version", [SMALL, LARGE], ids=["small", "large"])
def test_bytes_other_than_those_pinned_are_refused_and_leave_nothing(room: StoreRoom, version: Version) -> None:
    forged = version.contents | {MODEL: content(version.model[:-1] + b"!")}
    with pytest.raises(StoreError, match="not those that were pinned") as caught:
        room.store.put(version.ref, version.manifest, forged, silent)
    assert MODEL in caught.value.detail
    assert room.store.list("fraud") == []
    assert MODEL not in "".join(room.names())
    assert room.unfinished() == 0
    version.put(room.store)
    assert room.store.list("fraud") == [version.ref]


@pytest.mark.parametrize("version", [SMALL, LARGE], ids=["small", "large"])
def test_a_content_that_fails_is_raised_as_it_is_and_leaves_nothing(room: StoreRoom, version: Version) -> None:
    failing = version.contents | {MODEL: content(version.model, at_end=unreadable)}
    with pytest.raises(UnreadableError):
        room.store.put(version.ref, version.manifest, failing, silent)
    assert room.store.list("fraud") == []
    assert room.unfinished() == 0


def test_an_interruption_through_the_report_leaves_nothing(room: StoreRoom) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LARGE.put(room.store, interrupt)
    assert room.store.list("fraud") == []
    assert room.unfinished() == 0


def test_a_failure_after_the_first_file_leaves_nothing_visible(room: StoreRoom, tmp_path: Path) -> None:
    failing = SMALL.contents | {REQUIREMENTS: content(b"numpy\n", at_end=unreadable)}
    with pytest.raises(UnreadableError):
        room.store.put(SMALL.ref, SMALL.manifest, failing, silent)
    assert room.store.list("fraud") == []
    with pytest.raises(StoreError, match="not in the store"):
        room.store.fetch(SMALL.ref, tmp_path / "cache")
    SMALL.put(room.store)
    room.store.fetch(SMALL.ref, tmp_path / "cache")


def test_a_manifest_that_is_not_the_versions_is_refused(room: StoreRoom) -> None:
    with pytest.raises(StoreError, match="manifest is not that"):
        room.store.put(SMALL.ref, OTHER.manifest, OTHER.contents, silent)
    with pytest.raises(StoreError, match="file of the version is missing"):
        room.store.put(SMALL.ref, SMALL.manifest, {MODEL: content(SMALL.model)}, silent)
    assert room.names() == []


def test_a_version_without_its_manifest_is_not_there(room: StoreRoom, tmp_path: Path) -> None:
    SMALL.put(room.store)
    room.delete(SMALL.ref, MANIFEST_NAME)
    store = room.store
    assert store.list("fraud") == []
    for ask in (lambda: store.manifest(SMALL.ref), lambda: store.fetch(SMALL.ref, tmp_path / "cache")):
        with pytest.raises(StoreError, match="not in the store") as caught:
            ask()
        assert SMALL.ref.digest in caught.value.detail


@pytest.mark.parametrize("version", [SMALL, OTHER], ids=["same", "other"])
def test_an_incomplete_version_does_not_hold_its_name(room: StoreRoom, version: Version, tmp_path: Path) -> None:
    SMALL.put(room.store)
    room.delete(SMALL.ref, MANIFEST_NAME)
    version.put(room.store)
    assert room.store.list("fraud") == [version.ref]
    room.store.fetch(version.ref, tmp_path / "cache")


@pytest.mark.parametrize("name", [MODEL, REQUIREMENTS, MANIFEST_NAME])
def test_damaged_bytes_are_never_handed_out(room: StoreRoom, name: str, tmp_path: Path) -> None:
    SMALL.put(room.store)
    room.write(SMALL.ref, name, room.read(SMALL.ref, name)[:-1] + b"?")
    with pytest.raises(StoreError, match="not those that were pinned") as caught:
        room.store.fetch(SMALL.ref, tmp_path / "cache")
    pinned = {entry.name: entry.sha256 for entry in SMALL.manifest.files} | {MANIFEST_NAME: SMALL.ref.digest[7:]}
    assert f"{name}: expected sha256 {pinned[name]}, found " in caught.value.detail
    assert cached(tmp_path / "cache") == []


def test_a_lost_file_is_named(room: StoreRoom, tmp_path: Path) -> None:
    SMALL.put(room.store)
    room.delete(SMALL.ref, REQUIREMENTS)
    with pytest.raises(StoreError, match="not those that were pinned") as caught:
        room.store.fetch(SMALL.ref, tmp_path / "cache")
    assert f"{REQUIREMENTS}: expected" in caught.value.detail
    assert "found absent" in caught.value.detail


def test_a_removed_version_is_gone_and_frees_its_name(room: StoreRoom) -> None:
    store = room.store
    beside = replace(SMALL, name="v2")
    for version in (SMALL, beside):
        version.put(store)
    store.remove(SMALL.ref)
    store.remove(SMALL.ref)
    assert store.list("fraud") == [beside.ref]
    assert all("/v2/" in name for name in room.names())
    OTHER.put(store)
    assert store.list("fraud") == [OTHER.ref, beside.ref]


def test_names_that_lead_elsewhere_are_refused(room: StoreRoom, tmp_path: Path) -> None:
    wrong = ["..", ".", "", "a/b", "../../x", ".incoming", "sha256:0f"]
    refs = [replace(SMALL.ref, **{f: value}) for f in ("tenant", "model", "version", "digest") for value in wrong]
    for ref in refs:
        for ask in (room.store.manifest, room.store.remove, lambda r: room.store.fetch(r, tmp_path / "cache")):
            with pytest.raises(StoreError, match="Not a "):
                ask(ref)


def test_everyone_who_puts_the_same_version_at_once_succeeds(room: StoreRoom, tmp_path: Path) -> None:
    outcomes = at_once(6, lambda _: SMALL.put(room.store))
    assert outcomes == [SMALL.ref] * 6
    assert room.store.list("fraud") == [SMALL.ref]
    room.store.fetch(SMALL.ref, tmp_path / "cache")
    assert room.unfinished() == 0


def test_of_those_who_put_different_bytes_at_once_at_most_one_succeeds(room: StoreRoom) -> None:
    versions = [Version(b"\x08" + bytes([index])) for index in range(6)]
    outcomes = at_once(6, lambda index: versions[index].put(room.store))
    stored = room.store.list("fraud")
    assert [outcome for outcome in outcomes if isinstance(outcome, VersionRef)] == stored
    assert len(stored) <= 1
    refused = [outcome for outcome in outcomes if not isinstance(outcome, VersionRef)]
    assert all(isinstance(error, StoreError) and "another digest" in error.summary for error in refused)


def test_everyone_who_fetches_at_once_gets_the_same_folder(room: StoreRoom, tmp_path: Path) -> None:
    LARGE.put(room.store)
    [folder] = {str(outcome) for outcome in at_once(4, lambda _: room.store.fetch(LARGE.ref, tmp_path / "cache"))}
    assert verify_folder(Path(folder), LARGE.ref.digest) == LARGE.manifest


@pytest.mark.parametrize("room", ["folder", "rclone", "versitygw"], indirect=True)
def test_a_listing_of_many_pages_is_whole(room: StoreRoom) -> None:
    versions = [replace(OTHER, name=f"v{index}") for index in range(1_050)]

    def write(worker: int) -> None:
        for version in versions[worker::8]:
            room.write(version.ref, MANIFEST_NAME, b"")

    at_once(8, write)
    assert room.store.list("fraud") == sorted(version.ref for version in versions)
