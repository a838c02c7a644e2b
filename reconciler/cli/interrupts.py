"""Ctrl-C and SIGTERM: the command ends soon, whatever its threads are doing.

The first signal raises KeyboardInterrupt where the command is, which then records what it has to. What hangs even so is
left LEAVE_SECONDS later, or at once by a second signal. That is safe: a round may be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from reconciler.cli.exit_codes import ExitCode

LEAVE_SECONDS = 1.7
_SHOW_CURSOR = "\033[?25h"

_announcement = "Interrupted."
_interrupted = threading.Event()
_announced = threading.Event()


def install() -> None:
    """Handles SIGINT and SIGTERM, except one that the parent process set to be ignored (as nohup does)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def announce(text: str) -> None:
    """What an interruption means from now on; shown if one comes."""
    global _announcement
    _announcement = text


def tell() -> None:
    """Shows the one line about an interruption, once."""
    if not _announced.is_set():
        _announced.set()
        _write(f"\n{_announcement}\n" if sys.stderr.isatty() else f"{_announcement}\n")  # behind a terminal's ^C


def _leave() -> NoReturn:
    """Ends this process now, without waiting for its threads and with the locks that it holds."""
    if sys.stderr.isatty():
        _write(_SHOW_CURSOR)
    tell()
    os._exit(ExitCode.INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if _interrupted.is_set():
        _leave()
    _interrupted.set()
    timer = threading.Timer(LEAVE_SECONDS, _leave)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _write(text: str) -> None:
    """Past Python's own buffers, whose locks the thread that hangs may hold."""
    os.write(sys.stderr.fileno(), text.encode())
