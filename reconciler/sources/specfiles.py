"""Decides which specs of a revision are read, and explains the places that are not read although they may hold one.

A source may hold the specs of many tenants, so no tenant's file may keep the others from being read. Unread files are
handed to the loader with the reason: without them it would seem that their deployments should be deleted. Both kinds
of source use these rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reconciler.sources.paths import shown
from reconciler.sources.protocol import SourceError
from runtime.formats import is_lfs_pointer
from specs.loading.loader import Unread
from specs.models.paths import SPEC_NAMES, TOOL_FOLDERS, is_spec_name
from specs.syntax.reader import MAX_FILE_BYTES

MAX_ALL_BYTES = 256 * 2**20
"""Bytes of all specs of one revision together."""

FOREIGN_MARKS = frozenset({".git", "pyvenv.cfg", "CACHEDIR.TAG"})
"""Files and folders that mark another repository, a Python environment, or a cache (https://bford.info/cachedir/).
Inside a folder whose name starts with a dot, such folders are not expected to hold specs of this source."""

TOO_MUCH = Unread(
    "The specs are too large together",
    f"The specs of this source have more than {MAX_ALL_BYTES >> 20} MiB together, and this is one of the largest. Make "
    "it smaller.",
)


def affordable(sizes: Mapping[str, int]) -> frozenset[str]:
    """The paths whose files are read, given the bytes of each: the smallest first, until MAX_ALL_BYTES are spent.
    Of a file above the size limit of specs, only the part that is read counts."""
    left = MAX_ALL_BYTES
    chosen = set()
    for path in sorted(sizes, key=lambda path: (sizes[path], path)):
        left -= min(sizes[path], MAX_FILE_BYTES + 1)
        if left < 0:
            break
        chosen.add(path)
    return frozenset(chosen)


def may_be_spec(path: str) -> bool:
    """Whether a file at this path has to be read or refused: a spec, or what was probably meant to be one."""
    *folders, name = path.split("/")
    return is_spec_name(name) and TOOL_FOLDERS.isdisjoint(folders)


def is_hidden(folders: Collection[str]) -> bool:
    """Whether specs in a folder, given as its components, are refused because one of them starts with a dot."""
    return any(folder.startswith(".") for folder in folders)


def misplaced(path: str, content: bytes) -> Unread | None:
    """Why a file that `may_be_spec` is not read as one; None for a spec."""
    *folders, name = path.split("/")
    if name not in SPEC_NAMES:
        return Unread("Misspelled name of a spec", f"{shown(path)} is not read. Rename it to {name.casefold()}.")
    if is_hidden(folders):
        hidden = next(folder for folder in folders if folder.startswith("."))
        return Unread(
            "Spec in a hidden folder",
            f"{shown(path)} is not read, because the name of the folder {shown(hidden)} starts with a dot. Move it to "
            "another folder, or remove it.",
        )
    if is_lfs_pointer(content):
        return Unread(
            "A Git LFS pointer instead of a spec",
            f"{shown(path)} is a pointer to a file that Git LFS keeps. Commit the spec itself: take it out of "
            ".gitattributes.",
        )
    return None


def unread(error: SourceError) -> Unread:
    """The reason for a file that can't be read, or is not a file."""
    return Unread(error.summary, error.detail)


def unread_folder(error: SourceError) -> Unread:
    """The reason for a folder that can't be listed."""
    return Unread(error.summary, f"{error.detail} Specs in it would be missing.", is_folder=True)


def linked_folder(path: str) -> Unread:
    return Unread(
        "Symlinks are refused",
        f"{shown(path)} is a symlink that leads out of what is read, so specs behind it would be missing. Put the "
        "folder itself there, or remove the symlink.",
        is_folder=True,
    )


def submodule(path: str) -> Unread:
    return Unread(
        "Submodules are refused",
        f"{shown(path)} is a submodule, whose files are another repository's, so specs in it would be missing. Name "
        "its repository as a source of its own, or let no tenant's `paths:` in platform.yaml lead into it.",
        is_folder=True,
    )


def missing_submodule(path: str) -> Unread:
    return Unread(
        "A submodule is not checked out",
        f"The folder {shown(path)} is empty, so specs in it would be missing. Run `git submodule update --init`.",
        is_folder=True,
    )
