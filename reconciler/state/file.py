"""Reads and writes the state file: atomic (temporary file, fsync, rename, fsync of the folder), mode 0600, and by one
process at a time. Loaded by whoever plans or shows; written by `recorder.py` alone.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from filelock import FileLock, Timeout

from reconciler.state.home import denied
from reconciler.state.model import State, StateError, from_bytes, to_bytes

NO_SUCH_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What file systems answer that can't sync a folder."""


class StateFile:
    def __init__(self, path: Path, installation: str, target: str) -> None:
        self.path = path
        self._installation = installation
        self._target = target
        self._lock: FileLock | None = None
        self.bytes_written = 0

    def load(self) -> State:
        """The recorded state; a new one where there is no file. StateError when it can't be used."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return State.new(self._installation, self._target)
        except OSError as error:
            raise StateError("State file can't be read", f"{self.path}: {denied(error, self.path)}.") from error
        state = from_bytes(content, str(self.path))
        if state.installation != self._installation or state.target not in ("", self._target):
            raise StateError(
                "State file belongs to another installation",
                f"{self.path} records installation {state.installation!r} on target {state.target!r}; this is "
                f"{self._installation!r} on {self._target!r}. Name another `state:` in platform.yaml.",
            )
        return state

    def acquire(self, planned: State) -> None:
        """Keeps all others from writing until `release`: the target's own lock does not cover a state that several
        share. StateError when another has it, or has written it since `planned` was loaded."""
        self._lock = self._locked()
        try:
            now = self.load()
            if now.serial != planned.serial or (now.serial and now.lineage != planned.lineage):
                raise StateError(
                    "State file has changed since the plan was made",
                    f"{self.path} was written by another round. Plan again.",
                    retryable=True,
                )
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def save(self, state: State) -> None:
        """Replaces the file as a whole; a reader sees the old or the new one, never a part."""
        content = to_bytes(state)
        path = self._real_path
        temporary = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                _write(temporary, content)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
        except OSError as error:
            raise StateError("State file can't be written", f"{self.path}: {denied(error, self.path)}.") from error
        self.bytes_written += len(content)

    def _locked(self) -> FileLock:
        path = self._real_path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = FileLock(path.with_name(f".{path.name}.lock"), mode=0o600)
            lock.acquire(timeout=0)
        except Timeout:
            raise StateError(
                "Another round writes the state file",
                f"{self.path} is in use. Wait until that round has ended, then plan again.",
                retryable=True,
            ) from None
        except (OSError, NotImplementedError) as error:
            words = denied(error, self.path) if isinstance(error, OSError) else str(error)
            raise StateError("State file can't be locked", f"{self.path}: {words}.") from error
        return lock

    @property
    def _real_path(self) -> Path:
        """Where a link leads to: it stays a link, and is no second file."""
        return Path(os.path.realpath(self.path))


def _write(path: Path, content: bytes) -> None:
    """One writer at a time: what one left who was killed here is written over."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Else a power cut could bring the old file back, without the claims on what was made since."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SUCH_SYNC:
            raise
    finally:
        os.close(descriptor)
