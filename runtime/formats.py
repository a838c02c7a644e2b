"""Which format a model's file has, judged by its name and its first bytes.

Used by sources and `kubeserve push` before bytes are stored, and by the runtime for a plain file. Opens and unpickles
nothing, and imports only the standard library.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePosixPath

from runtime.errors import FormatError

HEAD_SIZE = 512
"""How many first bytes of a file `infer_format` needs."""

LFS_MARK = b"version https://git-lfs.github.com/spec/"


class Format(StrEnum):
    JOBLIB = "joblib"
    PICKLE = "pickle"
    SKOPS = "skops"
    ONNX = "onnx"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    PYTHON = "python"


SUFFIXES = {
    ".joblib": Format.JOBLIB,
    ".pkl": Format.PICKLE,
    ".pickle": Format.PICKLE,
    ".skops": Format.SKOPS,
    ".onnx": Format.ONNX,
    ".ubj": Format.XGBOOST,
    ".json": Format.XGBOOST,
    ".txt": Format.LIGHTGBM,
}

_PICKLE = rb"\x80[\x02-\x05]"
_MAGIC = {
    # joblib reads its own pickles plain or compressed: zlib, gzip, bz2, xz, lzma, lz4.
    Format.JOBLIB: re.compile(
        _PICKLE + rb"|x[\x01\x5e\x9c\xda]|\x1f\x8b|BZh|\xfd7zXZ|\x5d\x00\x00|\x04\x22M\x18", re.S
    ),
    Format.PICKLE: re.compile(_PICKLE, re.S),
    Format.SKOPS: re.compile(rb"PK\x03\x04"),
    # A protobuf message without a magic number of its own: the tag of one of ModelProto's first fields.
    Format.ONNX: re.compile(rb"[\x08\x12\x1a\x3a]"),
    # JSON, or UBJSON: an object whose first key's length is an integer of some width.
    Format.XGBOOST: re.compile(rb'\s*\{(\s*"(learner|version)"|[iUIlL#$])', re.S),
    Format.LIGHTGBM: re.compile(rb"tree\r?\n"),
}

_LOOKS = (
    (re.compile(rb"\s*<(!doctype html|html)", re.I), "an HTML page, as a download that needed a login leaves"),
    (re.compile(rb"\s*<\?xml|\s*<"), "an XML document, such as an object store's error message"),
    (re.compile(_PICKLE, re.S), "a pickle"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
    (re.compile(rb"\x1f\x8b"), "gzip data"),
    (re.compile(rb"\x89HDF"), "an HDF5 file"),
    (re.compile(rb"tree\r?\n"), "a LightGBM model"),
    (re.compile(rb"\s*[\[{]"), "JSON"),
    (re.compile(rb"[\t\r\n\x20-\x7e]+\Z"), "text"),
)


def is_lfs_pointer(head: bytes) -> bool:
    """Whether these are the first bytes of a Git LFS pointer, which is a placeholder for a file."""
    return head.startswith(LFS_MARK)


def infer_format(filename: str, head: bytes, *, folder: bool = False, named: Format | None = None) -> Format:
    """The format of a model. `head`: the file's first HEAD_SIZE bytes (ignored for a folder); `named`: the
    format that its author gives, for a name that doesn't say it. Raises FormatError, which says what the file looks
    like."""
    if folder:
        return _folder_format(filename, named)
    found = named or format_by_suffix(filename)
    if found is Format.PYTHON:
        raise FormatError("Not a folder", f"'{filename}' is a file; format python needs a folder with predictor.py.")
    if not _MAGIC[found].match(head) or is_lfs_pointer(head):
        raise FormatError(
            "The file is not what its format says",
            f"'{filename}' should be {found} and looks like {looks_like(head)}.{_advice(head)}",
        )
    return found


def looks_like(head: bytes) -> str:
    """What the first bytes look like, in words that complete 'it looks like …'."""
    if not head:
        return "an empty file"
    if is_lfs_pointer(head):
        return "a Git LFS pointer"
    return next((words for pattern, words in _LOOKS if pattern.match(head)), "binary data of another kind")


def _folder_format(name: str, named: Format | None) -> Format:
    if named in (None, Format.PYTHON):
        return Format.PYTHON
    raise FormatError(
        "Not a file", f"'{name}' is a folder, which is served by format python; format {named} needs a file."
    )


def format_by_suffix(filename: str) -> Format:
    """The format that a file's name says, for a file that can't be read yet. Raises FormatError."""
    suffix = PurePosixPath(filename).suffix.lower()
    if found := SUFFIXES.get(suffix):
        return found
    raise FormatError(
        "Unknown model format",
        f"'{filename}' does not end in one of {', '.join(SUFFIXES)}, nor is it a folder with predictor.py. "
        f"Rename it, or name its format: {', '.join(f for f in Format if f is not Format.PYTHON)}.",
    )


def _advice(head: bytes) -> str:
    if is_lfs_pointer(head):
        return " Fetch the real file with `git lfs pull`."
    if not head:
        return " Save the model again."
    return ""
