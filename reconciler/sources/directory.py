"""A directory as a source, read with uncommitted changes.

In: a folder on this machine. Out: its specs and, for each path that they name, the artifact there. Nothing outside of
the folder is read, and no symlink is followed. `factory.py` opens it for the first stage of a round.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciler.sources.paths import SourcePath, printable
from reconciler.sources.protocol import CHUNK, Revision, SourceArtifact, SourceError
from reconciler.sources.safe_open import Stamp, open_file, open_folder, unreadable
from reconciler.sources.specfiles import TOO_MUCH, affordable, misplaced, missing_submodule, unread
from reconciler.sources.walk import Walk
from reconciler.sources.worktree import Clock, directory_artifact
from specs.loading.loader import SpecFile, Unread
from specs.syntax.reader import MAX_FILE_BYTES

MAX_GITMODULES = 64 * 1024

_SUBMODULE_PATH = re.compile(r'^\s*path\s*=\s*"?(.+?)"?\s*$', re.MULTILINE)


class DirectorySource:
    def __init__(self, name: str, root: Path, clock: Clock = time.time_ns) -> None:
        """`root` may be relative; it is read when the source is resolved."""
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
        """The digest of all specs as they are now. Each artifact is read only when it is requested."""
        specs = self._read_specs()
        hasher = hashlib.sha256()
        for spec in specs:
            hasher.update(f"{len(spec.path)} {len(spec.content)} {spec.path}".encode(errors="surrogateescape"))
            hasher.update(spec.content)
            hasher.update(repr(spec.unread).encode())
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

    def shown(self, path: str, *, qualified: bool) -> str:
        file = self._root / path
        return min(os.path.relpath(file), str(file.absolute()), key=len)

    def artifact(self, revision: Revision, path: str) -> SourceArtifact:
        """The file or folder as it is now, regardless of the revision."""
        return directory_artifact(self._root, SourcePath.parse(path), self._clock)

    def close(self) -> None:
        """Nothing is held open."""

    def _read_specs(self) -> list[SpecFile]:
        with open_folder(self._root, SourcePath(())) as folder:
            walk = Walk(self._root)
            places = dict(walk.places(folder, SourcePath(())))
        sizes = {str(path): place.st_size for path, place in places.items() if isinstance(place, os.stat_result)}
        read = affordable(sizes)
        specs = [self._spec(path, place, str(path) in read) for path, place in places.items()]
        specs += [self._unread(path, missing_submodule(path)) for path in self._submodules() if path in walk.empty]
        return sorted(specs, key=lambda spec: spec.path)

    def _spec(self, path: SourcePath, place: os.stat_result | Unread, is_affordable: bool) -> SpecFile:
        if isinstance(place, Unread):
            return self._unread(str(path), place)
        if not is_affordable:
            return self._unread(str(path), TOO_MUCH)
        try:
            content = self._content(path)
        except SourceError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise path.changed("it was removed") from error
            if error.retryable:
                raise
            return self._unread(str(path), unread(error))
        return SpecFile(printable(str(path)), content, self._name, unread=misplaced(str(path), content))

    def _unread(self, path: str, why: Unread) -> SpecFile:
        return SpecFile(printable(path), b"", self._name, unread=why)

    def _content(self, path: SourcePath) -> bytes:
        """The file, or its beginning up to just above what a spec may have, so that the loader refuses it."""
        with open_file(self._root, path) as (descriptor, before):
            try:
                content = b"".join(_chunks(descriptor, MAX_FILE_BYTES + 1))
            except OSError as error:
                raise unreadable(path, error) from error
            if Stamp.of(os.fstat(descriptor)) != before:
                raise path.changed("somebody wrote to it")
        return content

    def _submodules(self) -> list[str]:
        """The folders that .gitmodules names, as far as it can be read."""
        try:
            with open_file(self._root, SourcePath((".gitmodules",))) as (descriptor, _):
                text = b"".join(_chunks(descriptor, MAX_GITMODULES)).decode(errors="surrogateescape")
        except (SourceError, OSError):
            return []
        return _SUBMODULE_PATH.findall(text)


def _chunks(descriptor: int, limit: int) -> Iterator[bytes]:
    while limit > 0 and (chunk := os.read(descriptor, min(CHUNK, limit))):
        limit -= len(chunk)
        yield chunk
