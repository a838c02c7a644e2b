"""Paths inside a source, and the errors for refused paths.

The one place that decides which paths an artifact may have and which files of a folder belong to it, so that a
directory and a Git repository with the same files give the same answers. Called by both kinds of source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import normalize

from reconciler.sources.protocol import SourceError
from specs.models.paths import PathError, resolve_path
from specs.names import listing, nearest, quoted

RESERVED_FOLDERS = frozenset({".git", ".kubeserve"})
"""Folders in which Git and KubeServe keep their own data, including secrets."""

MAX_FOLDER_FILES = 10_000
"""Files of one folder artifact; the runtime unpacks as many (`runtime.packing.UnpackLimits`)."""

SHOWN = 200
"""Characters of a path in a message."""


@dataclass(frozen=True, slots=True)
class SourcePath:
    """A path as its components from the source's root. `depth` counts them from 0 in the errors."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> SourcePath:
        """SourceError for a path that leads out of the source, names its root, or is in a folder of Git or
        KubeServe."""
        try:
            parts = tuple(resolve_path("", text).split("/"))
        except PathError as error:
            raise SourceError(error.summary, error.detail) from error
        if parts == (".",):
            raise SourceError(
                "The whole source is no artifact", "Put the files of the model into a folder, and name that."
            )
        if reserved := RESERVED_FOLDERS.intersection(parts):
            raise SourceError(
                "Not an artifact", f"{shown(text)} is in {min(reserved)}, which is never read as a model."
            )
        return cls(parts)

    def __str__(self) -> str:
        return "/".join(self.parts)

    def __truediv__(self, name: str) -> SourcePath:
        return SourcePath((*self.parts, name))

    def upto(self, depth: int) -> str:
        return shown("/".join(self.parts[: depth + 1]))

    def absent(self, depth: int, siblings: Iterable[str]) -> SourceError:
        """The error if component `depth` doesn't exist beside its `siblings`."""
        names = sorted(set(siblings) - RESERVED_FOLDERS)
        if twin := _twin(self.parts[depth], names):
            hint = f"A name that looks the same has other code points, {_code_points(twin)}: rename one of both."
        elif near := nearest(self.parts[depth], names):
            hint = f"Did you mean {shown('/'.join((*self.parts[:depth], near)))}?"
        else:
            hint = f"It holds {listing(map(shown, names))}." if names else "It is empty."
        where = self.upto(depth - 1) if depth else "The source's root"
        detail = f"{shown(str(self))} does not exist: {where} has no {shown(self.parts[depth])}. {hint}"
        return SourceError("No such artifact", detail)

    def through_a_file(self, depth: int) -> SourceError:
        detail = f"{shown(str(self))} does not exist: {self.upto(depth)} is a file, not a folder."
        return SourceError("No such artifact", detail)

    def symlink(self, depth: int) -> SourceError:
        detail = f"{shown(str(self))}: {self.upto(depth)} is a symlink, and could lead anywhere."
        return SourceError("Symlinks are refused", f"{detail} Put the file itself there.")

    def submodule(self, depth: int) -> SourceError:
        detail = f"{shown(str(self))}: {self.upto(depth)} is a submodule, whose files are another repository's."
        return SourceError("Submodules are refused", f"{detail} Commit the file here, or `kubeserve push` it.")

    def special(self, depth: int) -> SourceError:
        detail = f"{shown(str(self))}: {self.upto(depth)} is a device, pipe or socket."
        return SourceError("Not a file or folder", f"{detail} Only regular files and folders are read.")

    def empty(self) -> SourceError:
        detail = f"{shown(str(self))} has no files to serve (dot-files and Python's caches don't count)."
        return SourceError("An empty folder", f"{detail} A folder needs at least a predictor.py.")

    def too_many_files(self) -> SourceError:
        return SourceError("Too many files", f"The folder {shown(str(self))} has more than {MAX_FOLDER_FILES} files.")

    def lfs_pointer(self, fix: str) -> SourceError:
        detail = f"{shown(str(self))} is a pointer to a file that Git LFS keeps. {fix}"
        return SourceError(
            "A Git LFS pointer instead of the file",
            f"{detail}, or put the file itself into the store with `kubeserve push`.",
        )

    def changed(self, how: str) -> SourceError:
        """The error for a file that was written while it was being read."""
        return SourceError(
            "Changed while it was read",
            f"{shown(str(self))}: {how}. Try again once whoever writes it has finished.",
            retryable=True,
        )


def shown(path: str) -> str:
    """A path as a message quotes it."""
    return quoted(path, limit=SHOWN)


def _twin(name: str, names: Iterable[str]) -> str | None:
    """The name that differs only in its Unicode normalisation."""
    composed = normalize("NFC", name)
    return next((other for other in names if normalize("NFC", other) == composed), None)


def _code_points(name: str) -> str:
    """A name in ASCII, so that two forms of one letter differ."""
    return "'" + name.encode("ascii", errors="backslashreplace").decode() + "'"


def printable(path: str) -> str:
    """A path whose bytes needn't be UTF-8 (those are surrogates) as text that can be shown and stored."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_packed(name: str) -> bool:
    """Whether a file or folder of this name is packed into its folder artifact.

    Dot-files are not: .git, .env, .DS_Store, .ipynb_checkpoints, editors' swap files belong to the work on a
    model, not to the model. Nor are Python's caches, whose bytes differ from machine to machine.
    """
    return not name.startswith(".") and name != "__pycache__" and not name.endswith(".pyc")
