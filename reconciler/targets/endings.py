"""Why a process that served a model ended: from its exit code or signal, and from what it wrote last. Pure.

Called by both targets, so that a crash of native code reads the same on a machine and in a cluster.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

OUT_OF_MEMORY = "it used more memory than `resources.memory` allows"

_CRASHES: dict[int, str] = {
    signal.SIGSEGV: "Segmentation fault",
    signal.SIGABRT: "Aborted",
    signal.SIGBUS: "Bus error",
    signal.SIGILL: "Illegal instruction",
    signal.SIGFPE: "Floating-point exception",
    signal.SIGTRAP: "Trace trap",
}
_FATAL = re.compile(r"Fatal Python error: (?P<error>.+)")
_FRAME = re.compile(r'\s*File "(?P<path>.+)", line (?P<line>\d+)')
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python3", "<frozen ")


def is_crash(exit_code: int) -> bool:
    """Whether a signal ended the process that native code raises. `exit_code`: 128 + N, or -N as Python's `Popen` has
    it, for signal N."""
    return _signal(exit_code) in _CRASHES


def how_it_ended(exit_code: int, output: Sequence[str] = ()) -> str:
    """One line without a final period. `output`: the last lines that the process wrote, in which Python's faulthandler
    may have left where it crashed."""
    crashed = _CRASHES.get(_signal(exit_code) or 0)
    error, place = _dumped(output)
    if crashed or error:
        return f"the process crashed: {error or crashed}" + (f", in {place}" if place else "")
    number = _signal(exit_code)
    if number == signal.SIGKILL:
        return "it was killed (SIGKILL): from outside, or because the machine ran out of memory"
    if number is not None:
        return f"it was ended by {_name(number)}"
    return f"it ended with exit code {exit_code}"


def before_dump(output: Sequence[str]) -> Sequence[str]:
    """What the process wrote before faulthandler's dump, which tells nothing more; all of it where there is none."""
    index = next((index for index, line in enumerate(output) if _FATAL.search(line)), len(output))
    return output[:index]


def _dumped(output: Sequence[str]) -> tuple[str, str]:
    """(error, place) of a dump. The place: the innermost frame outside of libraries, else the innermost one."""
    lines = iter(output)
    fatal = next((match for line in lines if (match := _FATAL.search(line))), None)
    if fatal is None:
        return "", ""
    frames: list[re.Match[str]] = []
    for line in lines:
        if match := _FRAME.match(line):
            frames.append(match)
        elif frames:  # the next thread's frames begin after an empty line
            break
    own = (frame for frame in frames if not any(part in frame["path"] for part in _LIBRARIES))
    frame = next(own, frames[0] if frames else None)
    place = f"…/{frame['path'].rpartition('/')[2]} line {frame['line']}" if frame else ""
    return fatal["error"].strip(), place


def _signal(exit_code: int) -> int | None:
    if exit_code < 0:
        return -exit_code
    return exit_code - 128 if 128 < exit_code < 128 + signal.NSIG else None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
