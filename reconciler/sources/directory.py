"""A directory as a source: the working tree as it is, committed or not.

In: a folder on this machine. Out: its specs and, for each path that they name, the artifact there. Nothing outside of
the folder is read, no symlink is followed. Built by `opening.py`, read by `reconcile.py`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciler.sources.paths import SourcePath, shown
from reconciler.sources.protocol import CHUNK, Revision, SourceArtifact, SourceError
from reconciler.sources.safe_open import Stamp, names_in, open_file, open_folder, open_folder_in, unreadable
from reconciler.sources.specfiles import IRREGULAR, TOO_MUCH, affordable, printable
from reconciler.sources.worktree import Clock, directory_artifact
from specs.loading.loader import SpecFile
from specs.models.paths import is_skipped_folder, is_spec_path
from specs.syntax.reader import MAX_FILE_BYTES

MAX_ENTRIES = 1_000_000
"""Files and folders that are looked at for specs: who has more has named his home, or /."""


class DirectorySource:
    def __init__(self, name: str, root: Path, clock: Clock = time.time_ns) -> None:
        """`root` may be relative; it is looked at when the source is resolved."""
        self._name = name
        self._root = Path(os.path.realpath(root))
        self._clock = clock
        self._read: tuple[str, Sequence[SpecFile]] | None = None  # revision id -> its specs

    @property
    def name(self) -> str:
        return self._name

    @property
    def location(self) -> str:
        return str(self._root)

    def resolve(self) -> Revision:
        """The digest of all specs as they are now. Artifacts are looked at one by one when they are asked for."""
        specs = self._read_specs()
        hasher = hashlib.sha256()
        for spec in specs:
            hasher.update(f"{len(spec.path)} {len(spec.content)} {spec.path}".encode(errors="surrogateescape"))
            hasher.update(spec.content)
        revision = Revision(f"sha256:{hasher.hexdigest()}", "this directory")
        self._read = (revision.id, specs)
        return revision

    def spec_files(self, revision: Revision) -> Sequence[SpecFile]:
        """The specs as `resolve` read them; only those of the newest revision are kept."""
        if self._read is None or self._read[0] != revision.id:
            raise SourceError(
                "The directory has changed", f"{self.location} is no longer at {revision.id}.", retryable=True
            )
        return self._read[1]

    def artifact(self, revision: Revision, path: str) -> SourceArtifact:
        """The file or folder as it is now, whichever revision is asked for."""
        return directory_artifact(self._root, SourcePath.parse(path), self._clock)

    def close(self) -> None:
        """Nothing is held open."""

    def _read_specs(self) -> list[SpecFile]:
        with open_folder(self._root, SourcePath(())) as folder:
            found = dict(_Walk(self._root).specs(folder, SourcePath(())))
        read = affordable({str(path): status.st_size for path, status in found.items()})
        specs = [
            SpecFile(printable(str(path)), self._content(path, status, read), self._name)
            for path, status in found.items()
        ]
        return sorted(specs, key=lambda spec: spec.path)

    def _content(self, path: SourcePath, status: os.stat_result, read: frozenset[str]) -> bytes:
        """The file, or its beginning up to just above what a spec may have, so that the loader refuses it."""
        if not stat.S_ISREG(status.st_mode):
            return IRREGULAR
        if str(path) not in read:
            return TOO_MUCH
        with open_file(self._root, path) as (descriptor, before):
            try:
                content = b"".join(_chunks(descriptor, MAX_FILE_BYTES + 1))
            except OSError as error:
                raise unreadable(path, error) from error
            if Stamp.of(os.fstat(descriptor)) != before:
                raise path.changed("somebody wrote to it")
        return content


class _Walk:
    """One look at a whole directory. What can't be read is an error and not left out: a spec that nobody sees would
    look as if its deployments were to be deleted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._left = MAX_ENTRIES

    def specs(self, folder: int, at: SourcePath) -> Iterator[tuple[SourcePath, os.stat_result]]:
        """Every file, link or other thing with the name of a spec, and its status."""
        names = names_in(folder, at)
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
            if stat.S_ISDIR(status.st_mode):
                if not is_skipped_folder(name):
                    with open_folder_in(folder, path) as inner:
                        yield from self.specs(inner, path)
            elif is_spec_path(str(path)):
                yield path, status


def _chunks(descriptor: int, limit: int) -> Iterator[bytes]:
    while limit > 0 and (chunk := os.read(descriptor, min(CHUNK, limit))):
        limit -= len(chunk)
        yield chunk
