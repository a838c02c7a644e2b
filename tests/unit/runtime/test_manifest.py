"""A manifest pins every byte of a version, and is the same for the same bytes whatever the files were called."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import DigestMismatch, ManifestError, RuntimeFault
from runtime.formats import Format
from runtime.manifest import ARTIFACT_NAMES, MANIFEST_NAME, FileEntry, Manifest, verify_folder
from tests.support.runtime.models import write_python_predictor, write_version

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
MANIFESTS = st.builds(Manifest.of, st.sampled_from(Format), HEX, st.none() | HEX)
VALID = Manifest.of(Format.JOBLIB, "a" * 64, "b" * 64)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    write_version(tmp_path / "version", write_python_predictor(tmp_path / "model"), requirements="numpy\n")
    return tmp_path / "version"


@given(MANIFESTS)
def test_what_is_written_is_read_back(manifest: Manifest) -> None:
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@given(MANIFESTS, MANIFESTS)
def test_digests_are_equal_exactly_when_manifests_are(one: Manifest, other: Manifest) -> None:
    assert (one.digest == other.digest) == (one == other)


def test_the_digest_is_the_sha256_of_the_canonical_bytes() -> None:
    assert VALID.to_bytes() == (
        b'{"artifact":{"name":"model.joblib","sha256":"%s"},"format":"joblib",'
        b'"requirements":{"name":"requirements.txt","sha256":"%s"},"schema":1}' % (b"a" * 64, b"b" * 64)
    )
    assert VALID.digest == "sha256:" + hashlib.sha256(VALID.to_bytes()).hexdigest()


def test_every_format_has_one_name_for_its_artifact() -> None:
    assert set(ARTIFACT_NAMES) == set(Format)
    assert len(set(ARTIFACT_NAMES.values())) == len(Format)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_manifest_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_bytes(data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("schema", "format", "artifact", "requirements"), JSON_VALUES)))
def test_any_other_json_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_bytes(json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"artifact": {"name": "../../etc/passwd", "sha256": "a" * 64}},
        {"artifact": {"name": "model.onnx", "sha256": "a" * 64}},
        {"artifact": {"name": "model.joblib", "sha256": "A" * 64}},
        {"artifact": {"name": "model.joblib", "sha256": "a" * 63}},
        {"artifact": {"name": "model.joblib", "sha256": "a" * 64, "size": 3}},
        {"requirements": {"name": "/requirements.txt", "sha256": "a" * 64}},
        {"format": "keras"},
        {"created": "today"},
    ],
)
def test_a_manifest_that_says_anything_else_is_refused(change: dict[str, object]) -> None:
    document = json.loads(VALID.to_bytes()) | change
    with pytest.raises(ManifestError):
        Manifest.from_bytes(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_the_same_content_written_another_way_is_refused() -> None:
    with pytest.raises(ManifestError, match="not written the way"):
        Manifest.from_bytes(json.dumps(json.loads(VALID.to_bytes()), indent=1).encode())


def test_a_manifest_of_a_later_schema_says_so() -> None:
    later = VALID.to_bytes().replace(b'"schema":1', b'"schema":2')
    with pytest.raises(ManifestError, match="has schema 2, this KubeServe reads schema 1"):
        Manifest.from_bytes(later)


def test_a_manifest_of_absurd_size_is_refused() -> None:
    with pytest.raises(ManifestError, match="larger than"):
        Manifest.from_bytes(b" " * 100_000)


def test_a_name_that_leads_out_can_not_be_put_into_a_manifest() -> None:
    with pytest.raises(ManifestError):
        Manifest(Format.JOBLIB, FileEntry("../model.joblib", "a" * 64))


def test_a_whole_version_is_verified(version: Path) -> None:
    manifest = verify_folder(version)
    assert verify_folder(version, manifest.digest) == manifest
    assert [entry.name for entry in manifest.files] == ["model.tar", "requirements.txt"]


@pytest.mark.parametrize("name", ["model.tar", "requirements.txt"])
def test_one_flipped_bit_in_any_file_is_found(version: Path, name: str) -> None:
    digest = verify_folder(version).digest
    content = bytearray((version / name).read_bytes())
    content[len(content) // 2] ^= 1
    (version / name).write_bytes(content)
    with pytest.raises(DigestMismatch, match=name) as caught:
        verify_folder(version, digest)
    assert caught.value.file == name
    assert caught.value.found == hashlib.sha256(content).hexdigest()


def test_a_missing_file_is_found(version: Path) -> None:
    (version / "requirements.txt").unlink()
    with pytest.raises(DigestMismatch, match=r"requirements\.txt: expected sha256 .*, found absent"):
        verify_folder(version)


def test_a_manifest_other_than_the_one_that_was_asked_for_is_refused(version: Path) -> None:
    with pytest.raises(DigestMismatch, match=MANIFEST_NAME):
        verify_folder(version, VALID.digest)


def test_a_folder_without_a_manifest_is_no_version(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="not complete"):
        verify_folder(tmp_path)


def test_errors_say_what_and_why() -> None:
    assert str(RuntimeFault("What", "why")) == "What: why"
    assert str(RuntimeFault("What")) == "What"
