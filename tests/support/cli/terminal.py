"""A command on a terminal of its own, and what a person sees on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tests.support.patience import PATIENCE_SECONDS

_CONTROL = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")


class Terminal:
    """Runs a command under a pseudo-terminal of `columns` by `rows`; its end is awaited, or forced, in the end."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: dict[str, str], columns: int = 100, rows: int = 30
    ) -> None:
        self.columns = columns
        self.output = b""
        self.code: int | None = None
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve(command[0], list(command), {"TERM": "xterm", **environment})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.code is None:
            os.kill(self._pid, 9)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, text: str) -> None:
        """Until this was written, wherever on the screen."""
        self._read_until(lambda: text in self.text)

    def wait(self) -> int:
        """The exit code, once it has ended."""
        self._read_until(lambda: False)
        _, status = os.waitpid(self._pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    @property
    def text(self) -> str:
        """All that was ever written, without control sequences."""
        return _CONTROL.sub("", self.output.decode(errors="replace"))

    @property
    def screen(self) -> list[str]:
        """The lines that are left to see, what scrolled away among them."""
        return _drawn(self.output.decode(errors="replace"), self.columns)

    def _read_until(self, done: Callable[[], bool]) -> None:
        """Until it is so, or the command has closed the terminal."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < deadline, self.text
            if not select.select([self._fd], [], [], 0.1)[0]:
                continue
            try:
                read = os.read(self._fd, 65536)
            except OSError:  # how Linux tells the end of a pseudo-terminal
                return
            self.output += read


def _drawn(text: str, columns: int) -> list[str]:
    """As much of a VT100 as progress bars use: lines, carriage returns, moving up, erasing."""
    lines: list[list[str]] = [[]]
    row = column = position = 0
    while position < len(text):
        if control := _CONTROL.match(text, position):
            position = control.end()
            number = int(control[1]) if control[1].isdigit() else None
            match control[2]:
                case "A":
                    row = max(0, row - (number or 1))
                case "K":
                    del lines[row][0 if number == 2 else column :]
                case "J" | "H":
                    raise AssertionError("more of a terminal than this one knows")
            continue
        character = text[position]
        position += 1
        if character == "\n":
            row += 1
        elif character == "\r":
            column = 0
        else:
            if column == columns:
                row, column = row + 1, 0
            lines.extend([] for _ in range(row + 1 - len(lines)))
            lines[row].extend(" " * (column + 1 - len(lines[row])))
            lines[row][column] = character
            column += 1
        lines.extend([] for _ in range(row + 1 - len(lines)))
    return ["".join(line).rstrip() for line in lines]
