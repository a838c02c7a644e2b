"""Processes of ours on this machine: who they are, whether they live, how they end.

A file may name any pid. So a process is signalled only if it runs as this user and its environment says that it was
started for this run directory under this name.
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

from reconciler.targets.local.identity import Origin

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
    """The identity of a process that exists now, a zombie too; None if there is no such process."""
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(process: ProcessId, origin: Origin | None = None) -> bool:
    """Whether this very process runs. `origin`: where it was started for, which also holds after a changed clock has
    moved all start times; None: the start time decides."""
    try:
        running = psutil.Process(process.pid)
        if running.status() in _ENDED:
            return False
        # No environment: the process is ending, or has not quite begun.
        environment = running.environ() if origin is not None else None
        if origin is None or not environment:
            return abs(running.create_time() - process.started) <= _SAME_START_SECONDS
        return origin.is_in(environment)
    except psutil.Error:
        return False


def bearers(run_dir: Path) -> Iterator[Bearer]:
    """Every process of this user that was started for a run directory, and its children."""
    for running in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = running.environ()
            origin = Origin.of(environment)
            if origin is None or origin.run_dir != run_dir or not _is_ours(running) or running.status() in _ENDED:
                continue
            identity = ProcessId(running.pid, running.create_time())
            yield Bearer(identity, origin.token, environment)


def terminate(process: ProcessId, origin: Origin) -> None:
    """SIGTERM, to this process alone: it knows how to drain and to end its own children."""
    if _may_signal(process, origin):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)


def kill(process: ProcessId, origin: Origin) -> None:
    """SIGKILL, to its whole group where it leads one (every process that we start does)."""
    if not _may_signal(process, origin):
        return
    with contextlib.suppress(ProcessLookupError):
        if leads_group(process):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)


def _may_signal(process: ProcessId, origin: Origin) -> bool:
    try:
        running = psutil.Process(process.pid)
        return running.status() not in _ENDED and _is_ours(running) and origin.is_in(running.environ())
    except psutil.Error:
        return False


def _is_ours(running: psutil.Process) -> bool:
    return int(running.uids().real) == os.getuid()


def has_group(pid: int) -> bool:
    """Whether a process group of ours still has members; as long as it has, its number is given to nobody else."""
    reap()
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def leads_group(process: ProcessId) -> bool:
    """Whether it is a process that we started, and not one that it started itself, such as the runtime's server."""
    try:
        return os.getpgid(process.pid) == process.pid
    except ProcessLookupError:
        return False


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
    process.returncode = (
        0  # Popen warns about children that nobody waits for; ours outlive us on purpose, and `reap` collects them
    )
    identity = identify(process.pid)
    _children[process.pid] = None
    return identity


def reap() -> None:
    """Collects children of ours that have ended, so that a long-lived caller leaves no zombies behind."""
    for pid, code in tuple(_children.items()):
        if code is not None:
            continue
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            del _children[pid]
            continue
        if ended:
            _children[pid] = os.waitstatus_to_exitcode(status)


def exit_code(pid: int) -> int | None:
    """How a child of ours ended: its exit code, or -N for signal N. None if it runs, or is no child of ours."""
    reap()
    return _children.get(pid)


_children: dict[int, int | None] = {}
"""Exit codes by pid. Of this process, not of a target: a pid has one parent."""
