"""Where the runtime's log goes: to stderr, or to a file of its own that never grows past its limit.

`cli.py` sets both up before it imports anything that could fail or log.
"""

from __future__ import annotations

import errno
import faulthandler
import io
import logging
import os
import sys
import threading
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from runtime.errors import SettingsError

_CHECK_SECONDS = 0.5
_COPY_BYTES = 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_log = logging.getLogger("runtime")


def set_up_logging() -> None:
    """One line per event on stderr; from libraries, and from Python's warnings, only WARNING and above."""
    if isinstance(sys.stdout, TextIOWrapper):  # so that a crash loses nothing that the model has printed
        sys.stdout.reconfigure(line_buffering=True)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if type(stream) is TextIOWrapper and stream.fileno() == descriptor:
            setattr(sys, name, _without_full_disks(stream, descriptor))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    _log.setLevel(logging.INFO)
    warnings.showwarning = _log_warning
    # Rows come without column names by design: they are in the order of training.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    faulthandler.enable()


class _Output(io.RawIOBase):
    """Writes to a descriptor, and drops what a full disk does not take: a model that prints must still answer."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            return memoryview(data).nbytes


def _without_full_disks(stream: TextIOWrapper, descriptor: int) -> TextIOWrapper:
    stream.flush()
    buffer = io.BufferedWriter(_Output(descriptor))
    return TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=True, write_through=descriptor == 2)


def redirect_output(path: Path) -> None:
    """Sends stdout and stderr of this process to a file. SettingsError when it can't be written."""
    try:
        _point_output_at(path)
    except OSError as error:
        raise SettingsError("The log can't be written", f"{path}: {error.strerror}.") from error


def cap_output(path: Path, limit: int) -> None:
    """Starts a thread that rotates the file to which the output was redirected. `limit`: bytes that the file, and the
    older part beside it, `{path}.1`, may each hold."""
    threading.Thread(target=_cap, args=(path, limit), name="log-cap", daemon=True).start()


def _point_output_at(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    sys.stdout.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _cap(path: Path, limit: int) -> None:
    pause = threading.Event()
    while not pause.wait(_CHECK_SECONDS):
        try:
            if os.fstat(2).st_size > limit:
                _rotate(path, limit)
        except OSError as error:
            _log.warning("The log can't be rotated: %s", error)


def _rotate(path: Path, limit: int) -> None:
    # Rename and reopen instead of copying and truncating: dup2 is atomic, so no line is lost.
    old = path.with_name(f"{path.name}.1")
    path.rename(old)
    _point_output_at(path)
    surplus = old.stat().st_size - limit
    if surplus > 0:
        _keep_tail(old, surplus)


def _keep_tail(path: Path, surplus: int) -> None:
    shorter = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as source, shorter.open("wb") as target:
        source.seek(surplus)
        source.readline()
        while chunk := source.read(_COPY_BYTES):
            target.write(chunk)
    shorter.replace(path)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    if category.__name__ == "InconsistentVersionWarning":
        saved, here = (getattr(message, f"{which}_sklearn_version", "?") for which in ("original", "current"))
        _log.warning(
            "The model was saved with scikit-learn %s and is loaded with %s, which may break it or change its "
            "answers; pin scikit-learn==%s in its requirements (%s)",
            *(saved, here, saved, getattr(message, "estimator_name", "?")),
        )
        return
    _log.warning("%s: %s (%s:%d)", category.__name__, message, filename, lineno)
