"""Ctrl-C and SIGTERM: the command ends soon, whatever its threads are doing.

The first signal raises KeyboardInterrupt where the command is, which then records what it has to. What hangs even so is
left LEAVE_SECONDS later, or at once by a second signal. That is safe: a round may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from reconciler.cli.exit_codes import ExitCode

LEAVE_SECONDS = 1.7
JOIN_SECONDS = 0.05  # a thread that has nothing to do any more needs less
_SHOW_CURSOR = "\033[?25h"

_interrupted = threading.Event()
_told = threading.Event()


def install() -> None:
    """Answers to both signals, except to one that whoever started us has told us to ignore."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def tell(text: str) -> None:
    """The one plain line about an interruption; later ones are not shown."""
    if not _told.is_set():
        _told.set()
        _write(f"\n{text}\n" if sys.stderr.isatty() else f"{text}\n")  # behind the ^C of a terminal


def is_working() -> bool:
    """Whether threads of ours go on that an ordinary end would wait for, once they had a moment to end."""
    threads = [
        thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()
    ]
    for thread in threads:
        thread.join(JOIN_SECONDS)
    return any(thread.is_alive() for thread in threads)


def leave(text: str = "Interrupted.") -> NoReturn:
    """Ends this process now, without waiting for its threads and with the locks that it holds."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    _leave(text)


def _leave(text: str = "Interrupted.") -> NoReturn:
    if sys.stderr.isatty():
        _write(_SHOW_CURSOR)
    tell(text)
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
