"""What holds of the store in a folder beside the laws of every store."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.artifacts.disk import translated
from reconciler.artifacts.factory import open_store
from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.artifacts.protocol import StoreError
from runtime.manifest import MANIFEST_NAME
from specs.models import platform
from tests.support.runtime.versions import MODEL, Version, content, silent

VERSION = Version(b"\x08 a model", b"numpy\n")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_relative_path_starts_from_the_folder_of_platform_yaml(tmp_path: Path) -> None:
    store = open_store(platform.FilesystemStoreSpec(type="filesystem", path="kept/here"), tmp_path)
    VERSION.put(store)
    assert (tmp_path / "kept/here" / VERSION.ref.folder / MODEL).read_bytes() == VERSION.model
    assert store.location == str(tmp_path / "kept/here")


@pytest.mark.usefixtures("umask")
def test_stored_files_are_read_only_for_those_whom_the_umask_lets_read(tmp_path: Path) -> None:
    folder = FilesystemStore(tmp_path).fetch(VERSION.put(FilesystemStore(tmp_path)), tmp_path / "cache")
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o440}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_a_fetch_answers_with_the_stores_own_folder(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store")
    VERSION.put(store)
    assert store.fetch(VERSION.ref, tmp_path / "cache") == tmp_path / "store" / VERSION.ref.folder
    assert not (tmp_path / "cache").exists()


def test_nothing_is_left_in_the_staging_area(tmp_path: Path) -> None:
    VERSION.put(FilesystemStore(tmp_path))
    assert [path.name for path in (tmp_path / "fraud/.incoming").iterdir()] == ["lock"]


def test_what_does_not_belong_there_is_not_listed(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    VERSION.put(store)
    for stray in ("notes.txt", "churn/notes.txt", "churn/v1/notes.txt", "churn/v2/old/manifest.json"):
        path = tmp_path / "fraud" / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("stray")
    assert store.list("fraud") == [VERSION.ref]


def test_a_tenant_who_never_stored_anything_has_no_versions(tmp_path: Path) -> None:
    assert FilesystemStore(tmp_path / "absent").list("fraud") == []


def test_removing_the_last_version_leaves_no_empty_folders(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    VERSION.put(store)
    store.remove(VERSION.ref)
    assert [path.name for path in (tmp_path / "fraud").iterdir()] == [".incoming"]


def test_removing_what_was_never_there_makes_nothing(tmp_path: Path) -> None:
    FilesystemStore(tmp_path / "absent").remove(VERSION.ref)
    assert not (tmp_path / "absent").exists()


def test_a_root_that_can_not_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        VERSION.put(FilesystemStore(tmp_path / "file"))
    assert str(tmp_path / "file") in caught.value.detail


def test_an_artifact_that_can_not_be_read_is_not_blamed_on_the_store(tmp_path: Path) -> None:
    def gone() -> None:
        raise OSError(errno.EIO, "Input/output error", "the artifact")

    files = VERSION.contents | {MODEL: content(VERSION.model, at_end=gone)}
    with pytest.raises(StoreError, match="artifact can't be read"):
        FilesystemStore(tmp_path).put(VERSION.ref, VERSION.manifest, files, silent)


@pytest.mark.parametrize(
    ("number", "summary"),
    [
        (errno.ENOSPC, "No space left"),
        (errno.EDQUOT, "No space left"),
        (errno.EACCES, "Access denied"),
        (errno.EROFS, "Access denied"),
        (errno.EIO, "The disk refused"),
    ],
)
def test_errors_of_the_disk_say_what_is_wrong_and_where(number: int, summary: str) -> None:
    with pytest.raises(StoreError, match=summary) as caught, translated("/store"):
        raise OSError(number, os.strerror(number), f"/store/{MANIFEST_NAME}")
    assert f"/store/{MANIFEST_NAME}: {os.strerror(number)}." in caught.value.detail
