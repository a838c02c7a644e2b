"""Runs the server in a child process, passes signals on to it, and says why it ended or starts it again.

`cli.py` calls `supervise` in the process that was started, after the socket is bound: its pid is the one in the record,
and the socket outlives the child. Native code of a model can crash a process, or never give the interpreter back; then
only another process can say so. The child is forked, not executed, so that it costs little time and memory.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from runtime.crashes import Dump, parse_dump, place
from runtime.errors import RuntimeFault, ServerEnded

INTERRUPTED = 130
KILL_MARGIN_SECONDS = 5.0
"""Beyond the time that a server takes at most to stop by itself."""
CALM_SECONDS = 600.0
"""A server that has run for this long is started again without a pause, however often it was started before."""
MAX_PAUSE_SECONDS = 60.0
_FOREVER = 3600.0
_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
_FROM_TERMINAL = 0x80  # SI_KERNEL: a terminal sends Ctrl-C to the whole group, the child included
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger("runtime")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a server was started again; `time` in seconds since the epoch."""

    code: str
    reason: str
    time: float


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often the server was started again, after what, and how long this start has to wait."""

    count: int = 0
    last: Failure | None = None
    pause_seconds: float = 0.0

    def after(self, fault: RuntimeFault, ran_seconds: float) -> Restarts:
        """Pauses of 0, 1, 2, 4, … seconds between starts that don't last."""
        longer = min(max(1.0, 2 * self.pause_seconds), MAX_PAUSE_SECONDS)
        pause = longer if self.count and ran_seconds < CALM_SECONDS else 0.0
        return Restarts(self.count + 1, Failure(fault.code, str(fault), time.time()), pause)


@dataclass(frozen=True, slots=True)
class Link:
    """What the server leaves for its supervisor, in files without a name that outlive it: `notes` that it was ready and
    what went wrong, and in `dump` what faulthandler writes."""

    notes: int
    dump: int
    restarts: Restarts

    @classmethod
    def open(cls, restarts: Restarts) -> Link:
        return cls(os.memfd_create("notes"), os.memfd_create("dump"), restarts)

    def close(self) -> None:
        os.close(self.notes)
        os.close(self.dump)

    def is_ready(self) -> None:
        """Called by the server once its model has passed its checks."""
        self._note({"ready": True})

    def stopped(self) -> None:
        """Called by the server when it ends because of a signal to stop."""
        self._note({"stopped": True})

    def fail(self, fault: RuntimeFault) -> None:
        """Called by the server when it ends because of a fault."""
        self._note({"code": fault.code, "summary": fault.summary, "detail": fault.detail})

    def read_notes(self) -> dict[str, str]:
        notes: dict[str, str] = {}
        for line in _content(self.notes).splitlines():
            notes |= json.loads(line)
        return notes

    def read_dump(self) -> Dump | None:
        return parse_dump(_content(self.dump))

    def _note(self, note: dict[str, object]) -> None:
        os.write(self.notes, json.dumps(note).encode() + b"\n")


Serve = Callable[[Link], int]
"""Runs in the child: serves until it is stopped, and returns the exit code."""


@dataclass(slots=True)
class Supervisor:
    serve: Serve
    restart: bool
    stop_seconds: float
    on_stop: Callable[[], None]
    """Called when a signal asks to stop: the server alone decides then when its socket closes."""
    before_report: Callable[[], None]
    """Called before anything is logged here after a child has written to the log, which it may have rotated."""
    _kill_at: float | None = field(default=None, init=False)
    _mask: set[signal.Signals] = field(default_factory=set, init=False)

    def run(self) -> int:
        """The exit code of a server that was stopped. Raises the RuntimeFault of one that ended otherwise, unless it
        had been ready and may be started again."""
        self._mask = set(map(signal.Signals, signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)))
        restarts = Restarts()
        while True:
            started, link = time.monotonic(), Link.open(restarts)
            status = self._wait(self._fork(link))
            code, notes = os.waitstatus_to_exitcode(status), link.read_notes()
            if self._kill_at is not None or "stopped" in notes:
                return code if code == INTERRUPTED else 0
            self.before_report()
            fault = _fault(code, notes, link.read_dump())
            link.close()
            if not (self.restart and "ready" in notes):
                raise fault
            restarts = restarts.after(fault, time.monotonic() - started)
            pause = f" in {restarts.pause_seconds:g} s" if restarts.pause_seconds else ""
            _log.error("%s The server is started again%s.", _sentence(fault), pause)

    def _fork(self, link: Link) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        supervisor = os.getpid()
        child = os.fork()
        if child == 0:
            self._become_server(link, supervisor)
        return child

    def _become_server(self, link: Link, supervisor: int) -> NoReturn:
        """Ends with the supervisor, however that one ends."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        code = 1
        try:
            if os.getppid() == supervisor:
                code = self.serve(link)
        finally:
            _end(code)

    def _wait(self, child: int) -> int:
        """The child's status once it has ended; meanwhile it gets our signals."""
        while True:
            status = _reap(child)
            if status is not None:
                return status
            left = _FOREVER if self._kill_at is None else self._kill_at - time.monotonic()
            received = signal.sigtimedwait(_SIGNALS, max(left, 0.0))
            if received is None:
                if self._kill_at is not None:
                    os.kill(child, signal.SIGKILL)
                    self._kill_at += KILL_MARGIN_SECONDS
            elif received.si_signo != signal.SIGCHLD:
                self.on_stop()
                self._kill_at = self._kill_at or time.monotonic() + self.stop_seconds + KILL_MARGIN_SECONDS
                if received.si_signo == signal.SIGTERM or received.si_code != _FROM_TERMINAL:
                    os.kill(child, received.si_signo)


def _end(code: int) -> NoReturn:
    """Ends the process now: a thread in which a model hangs must not keep it, nor have the last word."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _reap(child: int) -> int | None:
    """The status of the child if it has ended. In a container, orphans of the model's become our children, too."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid in (0, child):
            return status if pid else None


def _fault(code: int, notes: dict[str, str], dump: Dump | None) -> RuntimeFault:
    """Why a server ended that nobody stopped; logs a crash's dump."""
    if "code" in notes:
        return ServerEnded(notes["code"], notes["summary"], notes["detail"], exit_code=max(code, 1))
    if dump is not None:
        sys.stderr.write(f"{dump.short}\n")  # as faulthandler would have
    if dump is not None and dump.is_timeout:
        return ServerEnded("model_hung", "The model hangs", f"A call never gave the interpreter back{_at(dump)}.")
    if code >= 0:
        return ServerEnded(
            "exited", "The process ended", f"Something in it, such as the model, ended it with exit code {code}."
        )
    number = signal.Signals(-code)
    if number is signal.SIGKILL:
        return ServerEnded(
            "killed",
            "The process was killed",
            "by the system, for lack of memory, or from outside (SIGKILL).",
        )
    error = dump.error if dump else signal.strsignal(number)
    return ServerEnded("crashed", "The process crashed", f"{error} ({number.name}){_at(dump)}.")


def _at(dump: Dump | None) -> str:
    return place(dump.frames) if dump else ""


def _sentence(fault: RuntimeFault) -> str:
    text = str(fault)
    return text if text.endswith(".") else f"{text}."


def _content(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")
