"""Downloads of versions, kept: whole and verified, or not there."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.artifacts.cache import fetch_into
from reconciler.artifacts.protocol import StoreError
from runtime.manifest import MANIFEST_NAME, Manifest, verify_folder
from tests.support.runtime.versions import MODEL, REQUIREMENTS, Version

VERSION = Version(b"\x08 a model", b"numpy\n")


class Shelf:
    """A store's side of a download. `damaged`: how often each file still arrives damaged."""

    def __init__(self, files: dict[str, bytes], **damaged: int) -> None:
        self.files = files
        self.damaged = {MODEL: damaged.get("model", 0)}
        self.asked: list[str] = []

    def manifest(self) -> Manifest:
        return VERSION.manifest

    def download(self, name: str, path: Path) -> bool:
        self.asked.append(name)
        if name not in self.files:
            return False
        path.write_bytes(b"damaged" if self.damaged.get(name) else self.files[name])
        self.damaged[name] = max(0, self.damaged.get(name, 0) - 1)
        return True

    def fetch(self, cache: Path) -> Path:
        return fetch_into(cache, VERSION.ref, "s3://models/", self.manifest, self.download)


def test_a_version_lies_under_its_tenant_and_digest_and_only_its_owner_gets_there(tmp_path: Path) -> None:
    folder = Shelf(VERSION.files).fetch(tmp_path / "a/cache")
    assert folder == tmp_path / "a/cache/versions/fraud" / VERSION.ref.hex
    assert verify_folder(folder, VERSION.ref.digest) == VERSION.manifest
    for path in (folder, *list(folder.parents)[:3]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_no_tenant_is_given_what_another_one_fetched(tmp_path: Path) -> None:
    Shelf(VERSION.files).fetch(tmp_path)
    theirs, nothing = replace(VERSION.ref, tenant="search"), Shelf({})
    with pytest.raises(StoreError, match="found absent"):
        fetch_into(tmp_path, theirs, "s3://models/", nothing.manifest, nothing.download)


def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    Shelf(VERSION.files).fetch(tmp_path)
    again = Shelf({})
    again.fetch(tmp_path)
    assert again.asked == []


@pytest.mark.parametrize("name", [MODEL, REQUIREMENTS, MANIFEST_NAME])
def test_what_was_damaged_or_lost_in_the_cache_is_fetched_anew(tmp_path: Path, name: str) -> None:
    folder = Shelf(VERSION.files).fetch(tmp_path)
    (folder / name).write_bytes(b"damaged")
    assert verify_folder(Shelf(VERSION.files).fetch(tmp_path), VERSION.ref.digest)
    (folder / name).unlink()
    assert verify_folder(Shelf(VERSION.files).fetch(tmp_path), VERSION.ref.digest)


def test_a_file_that_arrives_damaged_once_is_asked_for_again(tmp_path: Path) -> None:
    shelf = Shelf(VERSION.files, model=1)
    assert verify_folder(shelf.fetch(tmp_path), VERSION.ref.digest)
    assert shelf.asked == [MODEL, MODEL, REQUIREMENTS]


def test_a_file_that_always_arrives_damaged_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not those that were pinned") as caught:
        Shelf(VERSION.files, model=9).fetch(tmp_path)
    assert f"{MODEL}: expected sha256 {VERSION.manifest.artifact.sha256}, found " in caught.value.detail
    assert not (tmp_path / "versions/fraud" / VERSION.ref.hex).exists()


def test_what_a_killed_download_had_verified_is_not_downloaded_again(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not those that were pinned"):
        Shelf({MODEL: VERSION.model}).fetch(tmp_path)
    partial = tmp_path / f"versions/fraud/.{VERSION.ref.hex}.partial"
    (partial / f"{REQUIREMENTS}.6bA2eF31").write_bytes(b"num")  # as boto3 leaves it
    shelf = Shelf(VERSION.files)
    folder = shelf.fetch(tmp_path)
    assert shelf.asked == [REQUIREMENTS]
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST_NAME, MODEL, REQUIREMENTS]
    assert not partial.exists()


def test_half_of_a_file_is_not_taken_for_the_file(tmp_path: Path) -> None:
    partial = tmp_path / f"versions/fraud/.{VERSION.ref.hex}.partial"
    partial.mkdir(parents=True)
    (partial / MODEL).write_bytes(VERSION.model[:4])
    assert verify_folder(Shelf(VERSION.files).fetch(tmp_path), VERSION.ref.digest)
