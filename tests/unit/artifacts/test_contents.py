"""Files and folders of this machine: recognised, within limits, streamed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.artifacts import contents
from reconciler.artifacts.contents import ContentError
from reconciler.artifacts.protocol import Content
from runtime.formats import Format
from tests.support.runtime.models import train_logistic

PICKLE = b"\x80\x04 a pickle"
MIB = 1024 * 1024


def read(content: Content) -> bytes:
    with content.open() as chunks:
        return b"".join(chunks)


def written(path: Path, data: bytes = PICKLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_file_is_known_by_its_name_and_first_bytes(tmp_path: Path) -> None:
    path = train_logistic(tmp_path / "churn.joblib")
    found = contents.artifact(path, MIB)
    assert found.format is Format.JOBLIB
    assert found.content.size == path.stat().st_size
    assert read(found.content) == read(found.content) == path.read_bytes()


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="not what its format says") as caught:
        contents.artifact(written(tmp_path / "model.onnx", b"<html>Log in</html>"), MIB)
    assert "looks like an HTML page" in caught.value.detail


def test_a_name_that_does_not_tell_wants_the_format_named(tmp_path: Path) -> None:
    path = written(tmp_path / "model.bin")
    with pytest.raises(ContentError, match="Unknown model format"):
        contents.artifact(path, MIB)
    assert contents.artifact(path, MIB, Format.PICKLE).format is Format.PICKLE


def test_a_folder_is_packed_the_same_way_every_time(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        written(tmp_path / folder / "predictor.py", b"class Predictor: ...")
        written(tmp_path / folder / "data/words.txt", b"words")
    os.utime(tmp_path / "two/predictor.py", (1, 1))
    one, two = (contents.artifact(tmp_path / folder, MIB) for folder in ("one", "two"))
    assert one.format is Format.PYTHON
    assert read(one.content) == read(two.content)
    assert len(read(one.content)) == one.content.size


def test_a_folder_without_a_predictor_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "folder/model.pkl")
    with pytest.raises(ContentError, match=r"Folder without predictor\.py"):
        contents.artifact(tmp_path / "folder", MIB)


def test_a_link_inside_of_a_folder_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "folder/predictor.py")
    (tmp_path / "folder/secret").symlink_to("/etc/hostname")
    with pytest.raises(ContentError, match="Not packable") as caught:
        contents.artifact(tmp_path / "folder", MIB)
    assert "secret" in caught.value.detail


@pytest.mark.parametrize("name", ["model.pkl", "folder"])
def test_what_is_larger_than_the_limit_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    written(tmp_path / "model.pkl", PICKLE + bytes(2 * MIB))
    written(tmp_path / "folder/predictor.py", bytes(2 * MIB))
    with pytest.raises(ContentError, match="larger than allowed") as caught:
        contents.artifact(tmp_path / name, MIB)
    assert "has 2.0 MiB; the operator's limit is 1.0 MiB" in caught.value.detail
    assert "platform.yaml" in caught.value.detail


def test_a_file_at_the_limit_is_fine(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl")
    assert read(contents.artifact(path, len(PICKLE)).content) == PICKLE
    with pytest.raises(ContentError, match="larger than allowed"):
        contents.artifact(path, len(PICKLE) - 1)


def test_a_file_that_grows_past_the_limit_is_stopped_while_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl")
    found = contents.artifact(path, MIB)
    path.write_bytes(PICKLE + bytes(2 * MIB))
    with pytest.raises(ContentError, match="larger than allowed"):
        read(found.content)


def test_a_folder_that_changes_while_it_is_packed_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "folder/predictor.py")
    found = contents.artifact(tmp_path / "folder", MIB)
    path.write_bytes(b"other")
    with pytest.raises(ContentError, match="changed while it was packed"):
        read(found.content)


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl")
    found = contents.artifact(path, MIB)
    path.unlink()
    with pytest.raises(ContentError, match="No such file") as caught:
        read(found.content)
    assert str(path) in caught.value.detail


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="No such file") as caught:
        contents.artifact(tmp_path / "absent.pkl", MIB)
    assert "absent.pkl" in caught.value.detail


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.pkl")
    for path in (tmp_path / "model.pkl", Path("/dev/zero")):
        with pytest.raises(ContentError, match="Not a file"):
            contents.artifact(path, MIB)


def test_requirements_are_one_small_file(tmp_path: Path) -> None:
    path = written(tmp_path / "requirements.txt", b"numpy\n")
    assert read(contents.requirements(path, MIB)) == b"numpy\n"
    with pytest.raises(ContentError, match="larger than allowed") as caught:
        contents.requirements(path, 3)
    assert "has 6 bytes; the operator's limit is 3 bytes" in caught.value.detail
    with pytest.raises(ContentError, match="Not a file"):
        contents.requirements(tmp_path, MIB)
    with pytest.raises(ContentError, match="No such file"):
        contents.requirements(tmp_path / "absent.txt", MIB)
