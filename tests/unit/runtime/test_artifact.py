"""What the command line names is found out, verified and, where it is packed, unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.artifact import open_artifact
from runtime.errors import DigestMismatch, FormatError, ManifestError, ModelError, SettingsError
from runtime.formats import Format
from tests.support.runtime.models import train_logistic, write_python_predictor, write_version


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_plain_file_has_the_digest_that_a_version_of_it_would_have(tmp_path: Path, cleanup: ExitStack) -> None:
    model = train_logistic(tmp_path / "anything.joblib")
    digest = write_version(tmp_path / "version", model)
    artifact = open_artifact(model, None, None, cleanup)
    assert (artifact.path, artifact.model_format, artifact.digest) == (model, Format.JOBLIB, digest)


def test_a_predictors_folder_has_the_digest_that_a_version_of_it_would_have(tmp_path: Path, cleanup: ExitStack) -> None:
    folder = write_python_predictor(tmp_path / "model", files={"data/words.txt": "good"})
    digest = write_version(tmp_path / "version", folder)
    artifact = open_artifact(folder, None, None, cleanup)
    assert (artifact.path, artifact.model_format, artifact.digest) == (folder, Format.PYTHON, digest)


def test_a_packed_folder_is_unpacked_until_the_end(tmp_path: Path) -> None:
    folder = write_python_predictor(tmp_path / "model", files={"data/words.txt": "good"})
    digest = write_version(tmp_path / "version", folder)
    with ExitStack() as cleanup:
        artifact = open_artifact(tmp_path / "version", digest, None, cleanup)
        assert (artifact.path / "data/words.txt").read_text() == "good"
        assert artifact.digest == digest
    assert not artifact.path.exists()


def test_a_version_is_verified_with_and_without_a_digest(tmp_path: Path, cleanup: ExitStack) -> None:
    digest = write_version(tmp_path / "version", train_logistic(tmp_path / "m.joblib"))
    assert open_artifact(tmp_path / "version", None, None, cleanup).digest == digest
    with pytest.raises(DigestMismatch):
        open_artifact(tmp_path / "version", "sha256:" + "0" * 64, None, cleanup)
    (tmp_path / "version" / "model.joblib").write_bytes(b"\x80\x04other")
    with pytest.raises(DigestMismatch):
        open_artifact(tmp_path / "version", None, None, cleanup)


def test_a_digest_can_not_be_asked_of_what_has_no_manifest(tmp_path: Path, cleanup: ExitStack) -> None:
    with pytest.raises(SettingsError, match=r"no manifest\.json"):
        open_artifact(train_logistic(tmp_path / "m.joblib"), "sha256:" + "0" * 64, None, cleanup)
    with pytest.raises(ManifestError):
        open_artifact(write_python_predictor(tmp_path / "p"), "sha256:" + "0" * 64, None, cleanup)


def test_what_is_nothing_to_serve_says_so(tmp_path: Path, cleanup: ExitStack) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        open_artifact(tmp_path / "absent.joblib", None, None, cleanup)
    with pytest.raises(ModelError, match=r"neither predictor\.py nor manifest\.json"):
        open_artifact(tmp_path, None, None, cleanup)
    (tmp_path / "m.joblib").write_bytes(b"")
    with pytest.raises(FormatError, match="an empty file"):
        open_artifact(tmp_path / "m.joblib", None, None, cleanup)


def test_a_format_can_be_named(tmp_path: Path, cleanup: ExitStack) -> None:
    model = train_logistic(tmp_path / "m.joblib").rename(tmp_path / "m.bin")
    assert open_artifact(model, None, Format.JOBLIB, cleanup).model_format is Format.JOBLIB
