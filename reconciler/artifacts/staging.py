"""Folders in which writers prepare what they will rename to its place, and the lock that orders the renames.

A writer holds the lock of its staging folder for as long as it lives; the kernel drops it with the process. So a
folder whose lock is free is a dead writer's leftover, however it died, and no clock has to be asked.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

_OWNER = ".owner"


class Staging:
    def __init__(self, parent: Path) -> None:
        self._parent = parent

    @contextmanager
    def lock(self) -> Generator[None]:
        """Held for renames and other short work, never while bytes are moved."""
        self._parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._parent / "lock"):
            yield

    @contextmanager
    def folder(self) -> Generator[Path]:
        """An empty folder of this writer's own. What is left in it at the end is deleted."""
        name = secrets.token_hex(8)
        owner = FileLock(self._parent / f"{name}{_OWNER}")
        with self.lock():
            self._collect()
            owner.acquire(blocking=False)
            (self._parent / name).mkdir()
        try:
            yield self._parent / name
        finally:
            shutil.rmtree(self._parent / name, ignore_errors=True)
            self._release(owner)

    def discard(self, folder: Path) -> None:
        """Takes a folder out of sight at once; it is deleted with the leftovers if not now. Call it locked."""
        away = self._parent / secrets.token_hex(8)
        folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)

    def _collect(self) -> None:
        for entry in self._parent.iterdir():
            if entry.is_dir() and not self._is_alive(entry.name):
                shutil.rmtree(entry, ignore_errors=True)
        for owner in self._parent.glob(f"*{_OWNER}"):
            if not owner.with_suffix("").exists():
                owner.unlink(missing_ok=True)

    def _is_alive(self, name: str) -> bool:
        path = self._parent / f"{name}{_OWNER}"
        if not path.exists():
            return False
        probe = FileLock(path)
        try:
            with probe.acquire(blocking=False):
                return False
        except Timeout:
            return True

    def _release(self, owner: BaseFileLock) -> None:
        """Unlinked under the lock and while it is held, so that nobody waits on a file that is gone."""
        with self.lock():
            Path(owner.lock_file).unlink(missing_ok=True)
            owner.release()
