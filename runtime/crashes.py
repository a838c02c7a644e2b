"""Where a process was when it crashed or hung, in one line for people: from faulthandler's dump, or from a thread's
frames.

The supervisor reads the dump of a server that has ended; the server describes a call that does not end.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from types import FrameType

_TITLE = re.compile(r"^(?:Fatal Python error: (?P<error>.+)|(?P<timeout>Timeout) \(.*\)!)$", re.M)
_THREAD = re.compile(
    r"^(?P<current>Current t|T)hread 0x[0-9a-f]+.*\(most recent call first\):\n(?P<frames>(?:  .*\n?)*)", re.M
)
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$', re.M)
_OWN_FOLDER = f"{PurePosixPath(__file__).parent}/"
_CALLS_MODEL = f"{_OWN_FOLDER}server/inference.py"
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_PACKAGES = re.compile(r"/(?:site|dist)-packages/")
_LOGGED_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Frame:
    file: str
    line: int
    function: str

    def __str__(self) -> str:
        shown = _PACKAGES.split(self.file)[-1] if _PACKAGES.search(self.file) else PurePosixPath(self.file).name
        return f"{shown} line {self.line} ({self.function})"


@dataclass(frozen=True, slots=True)
class Dump:
    """What faulthandler wrote: the error (empty for a watchdog that expired), and the frames of the thread that
    matters, innermost first."""

    error: str
    is_timeout: bool
    frames: tuple[Frame, ...]

    @property
    def short(self) -> str:
        """A few lines for the log: the frames of the model and its libraries. The whole dump would push the model's own
        last words out of sight."""
        title = f"Fatal Python error: {self.error}" if self.error else "The interpreter was blocked"
        foreign = tuple(takewhile(lambda frame: not frame.file.startswith(_OWN_FOLDER), self.frames))
        frames = (foreign or self.frames)[:_LOGGED_FRAMES]
        return "\n".join((title, *(f'  File "{f.file}", line {f.line} in {f.function}' for f in frames)))


def parse_dump(text: str) -> Dump | None:
    """None for a process that left no dump."""
    title = _TITLE.search(text)
    if title is None:
        return None
    threads = list(_THREAD.finditer(text))
    crashed = [thread for thread in threads if thread["current"].startswith("Current")]
    asked = [thread for thread in threads if _CALLS_MODEL in thread["frames"]]
    thread = next(iter([*crashed, *asked, *threads]), None)
    frames = _FRAME.finditer(thread["frames"]) if thread else ()
    return Dump(
        title["error"] or "",
        title["timeout"] is not None,
        tuple(Frame(f["file"], int(f["line"]), f["function"]) for f in frames),
    )


def frames_of(thread: int) -> tuple[Frame, ...]:
    """The frames of a running thread of this process, innermost first; none when it has ended."""
    frames, frame = [], sys._current_frames().get(thread)
    while isinstance(frame, FrameType):
        frames.append(Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return tuple(frames)


def place(frames: Sequence[Frame]) -> str:
    """ ", in FILE line N (function)": the innermost frame of the model's own code, else of a library; empty where there
    is neither."""
    foreign = [frame for frame in frames if not frame.file.startswith((_OWN_FOLDER, "<"))]
    own = [f for f in foreign if not _PACKAGES.search(f.file) and not f.file.startswith(_STANDARD_LIBRARY)]
    libraries = [f for f in foreign if _PACKAGES.search(f.file)]
    chosen = next(iter([*own, *libraries]), None)
    return f", in {chosen}" if chosen else ""
