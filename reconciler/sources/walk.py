"""Walks a whole directory for specs and for places that may hold one.

A folder that can't be listed is returned with the reason: without its specs it would seem that their deployments
should be deleted. Called by `directory.py`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from reconciler.sources.paths import SourcePath, shown
from reconciler.sources.protocol import SourceError
from reconciler.sources.safe_open import names_in, open_folder_in, unreadable
from reconciler.sources.specfiles import FOREIGN_MARKS, is_hidden, linked_folder, may_be_spec, unread_folder
from specs.loading.loader import Unread
from specs.models.paths import TOOL_FOLDERS, is_skipped_folder

MAX_ENTRIES = 1_000_000
"""Limit of files and folders: a directory with more is probably a home directory, or /."""

Place = tuple[SourcePath, "os.stat_result | Unread"]


class Walk:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._left = MAX_ENTRIES
        self.empty: set[str] = set()  # folders without any entry

    def places(self, folder: int, at: SourcePath) -> Iterator[Place]:
        """Every regular file with the name of a spec, with its status, and every place that can't be read, with the
        reason. SourceError when the directory itself can't be listed or is too large."""
        yield from self._entries(folder, at, names_in(folder, at))

    def _entries(self, folder: int, at: SourcePath, names: Sequence[str]) -> Iterator[Place]:
        self._left -= len(names)
        if self._left < 0:
            raise SourceError(
                "Too large a directory",
                f"{shown(str(self._root))} has more than {MAX_ENTRIES} files. Name the folder with the specs.",
            )
        for name in names:
            path = at / name
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted since the folder was listed
            except OSError as error:
                yield path, unread_folder(unreadable(path, error))
                continue
            if stat.S_ISDIR(status.st_mode):
                if name not in TOOL_FOLDERS:
                    yield from self._folder(folder, path)
            elif may_be_spec(name):
                yield path, status
            elif stat.S_ISLNK(status.st_mode) and not is_hidden(path.parts) and self._leads_away(folder, path):
                yield path, linked_folder(str(path))

    def _folder(self, folder: int, path: SourcePath) -> Iterator[Place]:
        hidden = is_hidden(path.parts)
        with ExitStack() as stack:
            try:
                inner = stack.enter_context(open_folder_in(folder, path))
                names = names_in(inner, path)
            except SourceError as error:
                if not hidden and not isinstance(error.__cause__, FileNotFoundError):
                    yield path, unread_folder(error)
                return
            if not names:
                self.empty.add(str(path))
            if not hidden or FOREIGN_MARKS.isdisjoint(names):
                yield from self._entries(inner, path, names)

    def _leads_away(self, folder: int, path: SourcePath) -> bool:
        """Whether a symlink leads to a folder whose specs this walk does not read, or to an unknown place."""
        try:
            if not stat.S_ISDIR(os.stat(path.parts[-1], dir_fd=folder).st_mode):
                return False
        except OSError:
            return True
        real = Path(os.path.realpath(self._root.joinpath(*path.parts)))
        return not real.is_relative_to(self._root) or any(map(is_skipped_folder, real.relative_to(self._root).parts))
