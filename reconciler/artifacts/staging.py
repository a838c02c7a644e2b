"""Folders in which writers prepare versions before renaming them into place, and the lock that orders the renames.

A writer holds the lock of its staging folder for as long as it lives; the kernel releases it with the process. So a
folder whose lock is free was left by a dead writer, however it died, and no age has to be compared.
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
        """An empty folder of this writer's own. Its remaining content is deleted at the end."""
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
        """Hides a folder at once and deletes it; if that fails, a later writer does. The caller must hold the lock."""
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
        """Unlinks the lock file while holding the lock, so that nobody waits on a deleted file."""
        with self.lock():
            Path(owner.lock_file).unlink(missing_ok=True)
            owner.release()
