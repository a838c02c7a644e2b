"""One replica: a process of the runtime and the folder that it writes into. How it starts, and how it ends.

The folder with a token exists before the process, the process has the token in its environment, and it writes its own
record. So after a kill at any moment, the next round finds a process that it recognises, or a folder without one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.targets.local import processes
from reconciler.targets.local.files import make_folder, read_json
from reconciler.targets.local.identity import Origin
from reconciler.targets.local.marks import read, write
from reconciler.targets.local.probe import Address
from reconciler.targets.local.processes import ProcessId
from reconciler.targets.local.rundir import VariantFolder
from reconciler.targets.protocol import TargetError

TERM_SECONDS = 10.0
"""From SIGTERM, with nobody sending requests any more, to SIGKILL."""


@dataclass(frozen=True, slots=True)
class Start:
    """Written before the process starts, and again once its pid is known."""

    pid: int | None = None
    started: float | None = None


@dataclass(frozen=True, slots=True)
class Retirement:
    kill_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class ReplicaFolder:
    path: Path

    @property
    def token(self) -> str:
        return self.path.name

    @property
    def start_file(self) -> Path:
        return self.path / "start.json"

    @property
    def record_file(self) -> Path:
        """Written by the runtime: its identity and its address."""
        return self.path / "record.json"

    @property
    def reason_file(self) -> Path:
        """Written by the runtime: why it gave up."""
        return self.path / "reason.json"

    @property
    def log_file(self) -> Path:
        return self.path / "log"

    @property
    def output_file(self) -> Path:
        """Output from before the runtime opened its own log."""
        return self.path / "output"

    @property
    def scratch(self) -> Path:
        """Its temporary files, which are deleted with the folder, also after a SIGKILL."""
        return self.path / "tmp"

    @property
    def logs(self) -> tuple[Path, Path]:
        return self.log_file, self.output_file

    @property
    def retirement_file(self) -> Path:
        return self.path / "retirement.json"


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica as it was at one moment."""

    run_dir: Path
    folder: ReplicaFolder
    process: ProcessId | None
    address: Address | None  # None until it listens
    alive: bool
    kill_at: float | None = None  # set once it was asked to end: its deadline

    @property
    def serves(self) -> bool:
        """Whether it runs and was not asked to end."""
        return self.alive and self.kill_at is None

    @property
    def identity(self) -> str:
        """Changes with the process."""
        process = self.process
        return f"{self.folder.token} {process.pid if process else '-'} {self.serves}"


def replicas_of(variant: VariantFolder) -> tuple[Replica, ...]:
    """The replicas of a variant, oldest first, including those that have ended."""
    try:
        folders = sorted(path for path in variant.replicas.iterdir() if path.is_dir())
    except OSError:
        return ()
    return tuple(_load(ReplicaFolder(path), variant.run_dir) for path in folders)


def start(variant: VariantFolder, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Starts a process of the runtime; adds to `command` where it writes. TargetError if it can't."""
    folder = ReplicaFolder(variant.replicas / f"{time.time_ns():x}-{secrets.token_hex(4)}")
    make_folder(folder.scratch)
    write(folder.start_file, Start())
    arguments = (
        *(*command, "--record-file", str(folder.record_file), "--log-file", str(folder.log_file)),
        *("--reason-file", str(folder.reason_file)),
    )
    marked = {
        **environment,
        "TMPDIR": str(folder.scratch),
        **Origin(variant.run_dir, folder.token).to_environment(),
    }
    try:
        process = processes.spawn(arguments, marked, folder.path, folder.output_file)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the environment
        raise TargetError("Process can't be started", f"{variant.path.name}: {error}", retryable=True) from error
    if process is not None:
        write(folder.start_file, Start(process.pid, process.started))


def end(replica: Replica, seconds: float) -> bool:
    """One step towards its end: SIGTERM first, SIGKILL `seconds` later. True once no process of it is left."""
    process, origin = replica.process, Origin(replica.run_dir, replica.folder.token)
    if process is None:
        return True
    if not replica.alive:
        return not _kill_orphans(process, origin)
    if replica.kill_at is None:
        processes.terminate(process, origin)
        write(replica.folder.retirement_file, Retirement(time.time() + seconds))
    elif time.time() >= replica.kill_at:
        processes.kill(process, origin)
    return False


def _kill_orphans(process: ProcessId, origin: Origin) -> bool:
    """Kills children that a model started and its process left behind. True while there are some."""
    if not processes.has_group(process.pid):
        return False
    orphans = [b.process for b in processes.bearers(origin.run_dir) if b.token == origin.token]
    for orphan in orphans:
        processes.kill(orphan, origin)
    return bool(orphans)


def _load(folder: ReplicaFolder, run_dir: Path) -> Replica:
    record = read_json(folder.record_file) or {}
    process = _process(folder, record) or _search(folder, run_dir)
    retirement = read(folder.retirement_file, Retirement)
    return Replica(
        run_dir,
        folder,
        process,
        (str(record["host"]), int(record["port"])) if {"host", "port"} <= record.keys() else None,
        process is not None and processes.is_alive(process, Origin(run_dir, folder.token)),
        retirement.kill_at if retirement else None,
    )


def _process(folder: ReplicaFolder, record: Mapping[str, Any]) -> ProcessId | None:
    start = read(folder.start_file, Start)
    if start and start.pid and start.started:
        return ProcessId(start.pid, start.started)
    return ProcessId(record["pid"], record["started"]) if {"pid", "started"} <= record.keys() else None


def _search(folder: ReplicaFolder, run_dir: Path) -> ProcessId | None:
    """The process of a start that was killed before it wrote down the pid: the one that leads its group."""
    bearing = [bearer.process for bearer in processes.bearers(run_dir) if bearer.token == folder.token]
    return min(bearing, key=lambda process: (not processes.leads_group(process), process.pid), default=None)
