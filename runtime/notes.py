"""The small files that the runtime writes for the process that started it: who it is, and why it ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.errors import RuntimeFault, SettingsError
from runtime.settings import Identity

TOKEN_VARIABLE = "KUBESERVE_TOKEN"  # noqa: S105 - names a process, opens nothing
TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads why a container ended; a file that it mounts, so that it is nowhere else."""

_MAX_REASON = 2000  # Kubernetes keeps 4096 bytes of a termination message


def write_record(path: Path, host: str, port: int, identity: Identity) -> None:
    """Writes who this process is and where it listens, as JSON. The file appears complete, and before the model is
    loaded, so that a successor of the starter finds it as well. `started`: seconds since the epoch, as psutil gives
    them. SettingsError when it can't be written."""
    import psutil

    record = {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "host": host,
        "port": port,
        "variant": identity.variant,
        "replica": identity.replica,
        "token": os.environ.get(TOKEN_VARIABLE, ""),
    }
    try:
        _replace(path, json.dumps(record))
    except OSError as error:
        raise SettingsError("The record can't be written", f"{path}: {error.strerror}.") from error


def default_reason_file(environment: Mapping[str, str]) -> Path | None:
    """Where commands without a --reason-file write their reason: KUBESERVE_REASON_FILE, else where Kubernetes reads
    it."""
    named = environment.get("KUBESERVE_REASON_FILE")
    if named:
        return Path(named)
    return TERMINATION_LOG if TERMINATION_LOG.exists() else None


def report(fault: RuntimeFault, reason_file: Path | None) -> None:
    """Prints the reason as the last line of the log, and writes it to the reason file."""
    if reason_file:
        write_reason(reason_file, fault)
    print(f"error: {one_line(str(fault))}", file=sys.stderr)  # noqa: T201


def write_reason(path: Path, fault: RuntimeFault) -> None:
    """Writes why the process ends: one line of JSON, {"code", "reason"}. The file is overwritten and not replaced,
    because /dev/termination-log is a mount."""
    reason = one_line(str(fault))[:_MAX_REASON]
    try:
        path.write_text(json.dumps({"code": fault.code, "reason": reason}, ensure_ascii=False) + "\n")
    except OSError as error:
        logging.getLogger("runtime").warning("The reason can't be written to %s: %s", path, error.strerror)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def one_line(text: str) -> str:
    return " ".join(text.split())
