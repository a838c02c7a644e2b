"""The specs of a commit, and the places in it that are not read although they may hold a spec.

In: a listing and the contents behind it. Out: what `directory.py` returns for the same files. Called by
`source.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname, join, normpath

from reconciler.sources.git.contents import Contents
from reconciler.sources.git.objects import Listing, TreeEntry
from reconciler.sources.paths import SourcePath, printable
from reconciler.sources.protocol import SourceError
from reconciler.sources.specfiles import (
    FOREIGN_MARKS,
    TOO_MUCH,
    affordable,
    is_hidden,
    linked_folder,
    may_be_spec,
    misplaced,
    submodule,
    unread,
)
from specs.loading.loader import SpecFile, Unread
from specs.models.paths import TOOL_FOLDERS, is_skipped_folder, is_spec_name
from specs.syntax.reader import MAX_FILE_BYTES

MAX_LINKS = 40
"""The longest chain of symlinks that is followed, as on Linux."""

MAX_TARGET = 4096


class SpecReader:
    def __init__(self, listing: Listing, contents: Contents, source: str) -> None:
        self._listing = listing
        self._contents = contents
        self._source = source

    def read(self) -> list[SpecFile]:
        """In path order. SourceError when the mirror can't be read."""
        candidates: dict[str, TreeEntry] = {}
        found: dict[str, SpecFile] = {}
        for path, entry in self._listing.entries.items():
            if entry.is_file and not is_spec_name(path.rpartition("/")[2]):
                continue
            if may_be_spec(path):
                if not self._is_foreign(path):
                    candidates[path] = entry
            elif why := self._unread_place(path, entry):
                found[path] = self._unread(path, why)
        read = affordable({path: entry.size for path, entry in candidates.items()})
        found |= {path: self._spec(path, entry, path in read) for path, entry in candidates.items()}
        return [found[path] for path in sorted(found)]

    def _spec(self, path: str, entry: TreeEntry, is_affordable: bool) -> SpecFile:
        at = SourcePath(tuple(path.split("/")))
        try:
            entry.refuse_special(at, len(at.parts) - 1)
        except SourceError as error:
            return self._unread(path, unread(error))
        if not is_affordable:
            return self._unread(path, TOO_MUCH)
        content = self._contents.beginning(at, entry, MAX_FILE_BYTES + 1)
        return SpecFile(printable(path), content, self._source, unread=misplaced(path, content))

    def _unread(self, path: str, why: Unread) -> SpecFile:
        return SpecFile(printable(path), b"", self._source, unread=why)

    def _unread_place(self, path: str, entry: TreeEntry) -> Unread | None:
        """Why a symlink or submodule that isn't named like a spec may hide one; None where it can't."""
        parts = path.split("/")
        if is_hidden(parts) or not TOOL_FOLDERS.isdisjoint(parts):
            return None
        if not entry.is_symlink:
            return submodule(path)
        return linked_folder(path) if self._leads_away(path, entry) else None

    def _leads_away(self, path: str, entry: TreeEntry) -> bool:
        """Whether a symlink leads to a folder whose specs are not read, or to an unknown place."""
        for _ in range(MAX_LINKS):
            content = self._contents.beginning(SourcePath(tuple(path.split("/"))), entry, MAX_TARGET)
            target = content.decode(errors="surrogateescape")
            path = normpath(join(dirname(path), target))
            if path == ".":
                return False
            if target.startswith("/") or path.split("/")[0] == "..":
                return True
            linked = self._listing.entries.get(path)
            if linked is None:
                is_folder = any(self._listing.below(SourcePath(tuple(path.split("/")))))
                return not is_folder or any(map(is_skipped_folder, path.split("/")))
            if not linked.is_symlink:
                return False  # a file, or a submodule, which is a place of its own
            entry = linked
        return True

    def _is_foreign(self, path: str) -> bool:
        """Whether a file in a hidden folder belongs to an environment, a cache or another repository."""
        return any(f"{folder}/{mark}" in self._listing.entries for folder in _hidden(path) for mark in FOREIGN_MARKS)


def _hidden(path: str) -> Iterator[str]:
    """The folders on a file's path, beginning with the first whose name starts with a dot."""
    folders = path.split("/")[:-1]
    for depth in range(len(folders)):
        if is_hidden(folders[: depth + 1]):
            yield "/".join(folders[: depth + 1])
