"""Processes of ours on this machine: who they are, whether they live, how they end.

A process is known by its pid together with its start time or, where that is not known (we died between
starting it and writing it down), by the token that its environment bears. A pid alone is never signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

RUN_DIR_VARIABLE = "KUBESERVE_RUN_DIR"
TOKEN_VARIABLE = "KUBESERVE_TOKEN"  # noqa: S105 - names a process, opens nothing

GATEWAY_TOKEN = "gateway"  # noqa: S105 - a name; there is one gateway in a run directory

_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
_SAME_START_SECONDS = 0.05
"""Start times are computed from the boot time, which is a float; the clock ticks in hundredths."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    pid: int
    started: float  # seconds since the epoch, as psutil gives it


@dataclass(frozen=True, slots=True)
class Bearer:
    """A living process whose environment says that it belongs to a run directory."""

    process: ProcessId
    token: str
    environment: Mapping[str, str]


def identify(pid: int) -> ProcessId | None:
    """The identity of a process that exists now, a zombie too; None when there is none."""
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(process: ProcessId, token: str = "") -> bool:
    """Whether this very process runs. The token settles it where a changed clock moved all start times."""
    try:
        found = psutil.Process(process.pid)
        if found.status() in _ENDED:
            return False
        if abs(found.create_time() - process.started) <= _SAME_START_SECONDS:
            return True
        return bool(token) and found.environ().get(TOKEN_VARIABLE) == token
    except psutil.Error:
        return False


def bearers(run_dir: Path) -> Iterator[Bearer]:
    """Every process, of those whose environment we may read, that was started for this run directory."""
    wanted = str(run_dir)
    for found in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = found.environ()
            if environment.get(RUN_DIR_VARIABLE) != wanted or found.status() in _ENDED:
                continue
            identity = ProcessId(found.pid, found.create_time())
            yield Bearer(identity, environment.get(TOKEN_VARIABLE, ""), environment)


def terminate(process: ProcessId, token: str = "") -> None:
    """SIGTERM, to this process alone: it knows how to drain and to end its own children."""
    if is_alive(process, token):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)


def kill(process: ProcessId, token: str = "") -> None:
    """SIGKILL, to its whole group where it leads one (every process that we start does)."""
    if not is_alive(process, token):
        return
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)


def has_group(pid: int) -> bool:
    """Whether a process group of ours still has members; as long as it has, its number is given to nobody else."""
    reap()
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def spawn(command: Sequence[str], environment: Mapping[str, str], folder: Path, output: Path) -> ProcessId | None:
    """Starts a process in its own session, which outlives us and which our Ctrl-C does not reach.

    None when it has ended and been collected before it could be identified. OSError when it can't start.
    """
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as stream:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            umask=0o077,
        )
    process.returncode = 0  # Popen warns of children that it loses; ours are meant to be lost, and `reap` waits
    identity = identify(process.pid)
    _children.add(process.pid)
    return identity


def reap() -> None:
    """Collects children of ours that have ended, so that a long-lived caller leaves no zombies behind."""
    for pid in tuple(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                continue
        _children.discard(pid)


_children: set[int] = set()
"""Of this process, not of a target: a pid has one parent."""
