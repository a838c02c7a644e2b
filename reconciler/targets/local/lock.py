"""The lock that lets only one round at a time write to the local target.

The operating system releases it when its owner dies, so a dead owner's lock needs neither an
expiry nor a takeover. A file beside it names the owner, for the error message of a round that can't get the lock, and a
fencing token that grows with every owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from reconciler.targets.ownership import Owner, held_by, this_process
from reconciler.targets.protocol import TargetError


@contextmanager
def target_lock(folder: Path, command: str, timeout: float = 0.0) -> Iterator[Owner]:
    """Holds the lock of the target whose files are in `folder`; waits up to `timeout` seconds for it.

    LockHeldError names the owner; TargetError when this folder can't be locked.
    """
    lock, owner = _acquire(folder, command, timeout)
    try:
        yield owner
    finally:
        lock.release()


def _acquire(folder: Path, command: str, timeout: float) -> tuple[FileLock, Owner]:
    owner_file = folder / "lock.json"
    lock = FileLock(folder / "lock", mode=0o600)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire(timeout=timeout, poll_interval=0.1)
        previous = _read(owner_file)
        owner = this_process(command, previous.token + 1 if previous else 1)
        _write(owner_file, owner)
    except Timeout:
        raise held_by(_read(owner_file)) from None
    except (OSError, NotImplementedError) as error:  # read-only, full, or a file system that has no locks
        lock.release()
        raise TargetError(
            "This machine's target can't be locked",
            f"{folder}: {getattr(error, 'strerror', None) or error}. Rounds need a folder here that is writable and on "
            "a file system with locks.",
        ) from error
    return lock, owner


def _read(path: Path) -> Owner | None:
    """None if the file is damaged or was written by another release."""
    try:
        owner = Owner(**orjson.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return owner if isinstance(owner.token, int) else None


def _write(path: Path, owner: Owner) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(orjson.dumps(asdict(owner)))
    temporary.replace(path)
