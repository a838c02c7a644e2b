"""One writer: the lock that makes a round the only one of its target on this machine.

The operating system releases it when its owner dies, so a dead owner's lock needs no expiry and no taking
over. Beside it stands who holds it, for the message to the one who can't have it, and a fencing token that
grows with every owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from reconciler.targets.ownership import Owner, held_by, this_process


@contextmanager
def target_lock(folder: Path, command: str, timeout: float = 0.0) -> Iterator[Owner]:
    """Holds the lock of the target whose files are in `folder`; waits up to `timeout` seconds for it.

    LockHeldError names the owner.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner_file = folder / "lock.json"
    lock = FileLock(folder / "lock", mode=0o600)
    try:
        lock.acquire(timeout=timeout, poll_interval=0.1)
    except Timeout:
        raise held_by(_read(owner_file)) from None
    try:
        previous = _read(owner_file)
        owner = this_process(command, previous.token + 1 if previous else 1)
        _write(owner_file, owner)
        yield owner
    finally:
        lock.release()


def _read(path: Path) -> Owner | None:
    try:
        return Owner(**orjson.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, owner: Owner) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(orjson.dumps(asdict(owner)))
    temporary.replace(path)
