"""The format of a model is told by its name and its first bytes, and a wrong one by what it looks like."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import FormatError
from runtime.formats import HEAD_SIZE, Format, infer_format, is_lfs_pointer
from tests.support.runtime import models

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("churn.joblib", models.train_logistic, Format.JOBLIB),
        ("churn.pkl", lambda path: models.write_pickle(path, {"a": 1}), Format.PICKLE),
        ("churn.PICKLE", lambda path: models.write_pickle(path, [1]), Format.PICKLE),
        ("churn.skops", models.train_skops, Format.SKOPS),
        ("churn.onnx", models.train_onnx, Format.ONNX),
        ("churn.ubj", models.train_xgboost, Format.XGBOOST),
        ("churn.json", models.train_xgboost, Format.XGBOOST),
        ("churn.txt", models.train_lightgbm, Format.LIGHTGBM),
    ],
)
def test_a_saved_model_has_the_format_of_the_library_that_saved_it(
    tmp_path: Path, name: str, make: Callable[[Path], Path], expected: Format
) -> None:
    head = make(tmp_path / name).read_bytes()[:HEAD_SIZE]
    assert infer_format(name, head) is expected


@pytest.mark.parametrize("compress", [("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_a_compressed_joblib_file_is_joblib(tmp_path: Path, compress: tuple[str, int]) -> None:
    import joblib

    path = tmp_path / "model.joblib"
    joblib.dump({"weights": [1.0, 2.0]}, path, compress=compress)
    assert infer_format(path.name, path.read_bytes()[:HEAD_SIZE]) is Format.JOBLIB


def test_a_folder_is_a_python_predictor() -> None:
    assert infer_format("scorer", b"", folder=True) is Format.PYTHON


def test_a_named_format_stands_for_a_suffix() -> None:
    assert infer_format("model.bin", pickle.dumps(1), named=Format.PICKLE) is Format.PICKLE


def test_a_named_format_that_the_bytes_contradict_is_refused() -> None:
    with pytest.raises(FormatError, match="should be onnx and looks like a pickle"):
        infer_format("model.bin", pickle.dumps(1), named=Format.ONNX)


def test_a_file_can_not_be_a_python_predictor_nor_a_folder_anything_else() -> None:
    with pytest.raises(FormatError, match=r"needs a folder with predictor\.py"):
        infer_format("predictor.py", b"class Predictor: ...", named=Format.PYTHON)
    with pytest.raises(FormatError, match="format onnx needs a file"):
        infer_format("scorer", b"", folder=True, named=Format.ONNX)


def test_an_unknown_suffix_names_those_that_are_known() -> None:
    with pytest.raises(FormatError, match=r"'model\.h5' does not end in one of \.joblib") as caught:
        infer_format("model.h5", b"\x89HDF")
    assert "name its format: joblib" in caught.value.detail


@pytest.mark.parametrize(
    ("head", "looks"),
    [
        (b"", "an empty file"),
        (LFS_POINTER, "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "an XML document"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b'{"message": "Not Found"}', "JSON"),
        (b"404: Not Found", "text"),
        (b"\x00\x01\x02\x03", "binary data"),
    ],
)
@pytest.mark.parametrize("name", ["m.joblib", "m.pkl", "m.onnx", "m.ubj", "m.txt"])
def test_bytes_that_are_no_model_are_refused_by_what_they_look_like(name: str, head: bytes, looks: str) -> None:
    with pytest.raises(FormatError, match=f"'{name}' should be .* and looks like {looks}"):
        infer_format(name, head)


def test_a_git_lfs_pointer_is_told_from_a_model_and_says_how_to_fetch_the_file() -> None:
    assert is_lfs_pointer(LFS_POINTER)
    assert not is_lfs_pointer(b"tree\nversion=v4\n")
    with pytest.raises(FormatError, match="git lfs pull"):
        infer_format("m.txt", LFS_POINTER)
