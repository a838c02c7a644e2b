"""Which files are specs, where their relative paths lead, and which paths a tenant may speak at. Purely lexical.

Sources ask which files to read and what an `artifact:` points at; existence and symlinks are theirs to check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from posixpath import dirname, join, normpath
from typing import TypeVar
from unicodedata import normalize

from specs.errors import KubeServeError
from specs.names import quoted

SPEC_NAMES = frozenset({"kubeserve.yaml", "kubeserve.yml"})
TOOL_FOLDERS = frozenset({".git", ".kubeserve", "node_modules", "__pycache__"})
MAX_PATH = 1024
ANY_FOLDERS = "**"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class PathError(KubeServeError):
    """A path that is invalid or leads out of the source."""

    code = "path"


def is_spec_path(path: str) -> bool:
    """Whether a POSIX path from a source's root is a spec: kubeserve.yaml at any depth, no dot-folder on the way."""
    *folders, name = path.split("/")
    return name in SPEC_NAMES and not any(map(is_skipped_folder, folders))


def is_spec_name(name: str) -> bool:
    """Whether a file of this name is a spec, or was meant to be one: upper and lower case don't count."""
    return name.casefold() in SPEC_NAMES


def is_skipped_folder(name: str) -> bool:
    """Whether specs in folders of this name are not read: .git, .venv, node_modules, …"""
    return name.startswith(".") or name in TOOL_FOLDERS


def resolve_path(spec_file: str, relative: str) -> str:
    """The path from the source's root (POSIX, normalised) that a path written in `spec_file` means.

    Raises PathError for what isn't a relative path with slashes, or leaves the source.
    """
    _check_characters(relative)
    if relative.startswith(("/", "~")) or re.match(r"[A-Za-z]:", relative):
        raise PathError(
            "Not a relative path",
            f"{quoted(relative)} must be relative to the folder of this file, and inside this repository.",
        )
    resolved = normpath(join(dirname(spec_file), relative))
    if resolved == ".." or resolved.startswith(("../", "/")):
        raise PathError(
            "Path leaves the repository",
            f"{quoted(relative)} leads out of the repository. Artifacts are committed beside their spec, put into the "
            "store with `kubeserve push`, or fetched from s3:// or https:// with their sha256.",
        )
    return resolved


def matches_any(path: str, globs: Iterable[str]) -> bool:
    """Whether a path from a source's root matches a glob: `**` crosses folders, `*` and `?` do not.

    Takes at most (length of the path) x (length of the glob) steps, because it never backtracks over a `**`.
    """
    path = _composed(path)
    return any(_matches_glob(path, glob) for glob in globs)


def may_match_below(folder: str, globs: Iterable[str]) -> bool:
    """Whether some path below a folder can match a glob; True in doubt."""
    folders = _composed(folder).split("/")
    return any(_may_match_below(folders, _parsed(glob)) for glob in globs)


def is_glob(text: str) -> bool:
    """Whether every `**` of a pattern is a whole segment, which `matches_any` requires."""
    return all(segment == ANY_FOLDERS or ANY_FOLDERS not in segment for segment in text.split("/"))


def _composed(path: str) -> str:
    """The text in Unicode's composed form (NFC): macOS may list a name in another form than it was created with."""
    return path if path.isascii() else normalize("NFC", path)


def _check_characters(relative: str) -> None:
    if not relative.strip():
        raise PathError("Empty path", "Name a file or folder, relative to the folder of this file.")
    if len(relative) > MAX_PATH:
        raise PathError("Path is too long", f"A path has at most {MAX_PATH} characters; this has {len(relative)}.")
    if "\\" in relative:
        raise PathError("Backslash in a path", f"Write {quoted(relative.replace(chr(92), '/'))}, with slashes.")
    if _CONTROL.search(relative):
        raise PathError("Control character in a path", f"{quoted(relative)} has characters that no path needs.")


T = TypeVar("T")
P = TypeVar("P")
_Segment = list[str]  # the texts between the `*` of one segment of a glob; a "?" in them is any character


def _matches_glob(path: str, glob: str) -> bool:
    folder = _plain_folder(glob)
    if folder is not None:
        return path.startswith(folder)
    return _matches(path.split("/"), _parsed(glob), _segment_matches)


@lru_cache(maxsize=4096)
def _plain_folder(glob: str) -> str | None:
    """The folder of a glob like teams/fraud/**, the usual form: all paths inside it match. None for other globs."""
    folder = _composed(glob).removesuffix(ANY_FOLDERS)
    return folder if glob.endswith(ANY_FOLDERS) and not {"*", "?"}.intersection(folder) else None


@lru_cache(maxsize=4096)
def _parsed(glob: str) -> list[list[_Segment]]:
    """The segments of a glob, in the groups that its `**` separate.

    A `**` at the end must match at least one segment, so a segment `*` is added after it."""
    groups: list[list[_Segment]] = [[]]
    segments = _composed(glob).split("/")
    for segment in segments:
        if segment == ANY_FOLDERS:
            groups.append([])
        else:
            groups[-1].append(segment.split("*"))
    if segments[-1] == ANY_FOLDERS:
        groups[-1].append(["", ""])
    return groups


def _matches(items: Sequence[T], groups: Sequence[Sequence[P]], same: Callable[[T, P], bool]) -> bool:
    """Whether items consist of the groups in their order, with anything between two groups.

    The first group begins the items and the last one ends them. Each group between takes the first place that it
    fits: a later place would only leave less for the groups after it.
    """
    first, *others = groups
    if not others:
        return len(items) == len(first) and _fits(items, 0, first, same)
    last = others.pop()
    end = len(items) - len(last)
    start = len(first)
    if start > end or not _fits(items, 0, first, same) or not _fits(items, end, last, same):
        return False
    for group in others:
        while start + len(group) <= end and not _fits(items, start, group, same):
            start += 1
        start += len(group)
        if start > end:
            return False
    return True


def _fits(items: Sequence[T], start: int, group: Sequence[P], same: Callable[[T, P], bool]) -> bool:
    return all(same(items[start + offset], part) for offset, part in enumerate(group))


def _segment_matches(name: str, segment: _Segment) -> bool:
    return name == segment[0] if len(segment) == 1 and "?" not in segment[0] else _matches(name, segment, _is_character)


def _is_character(character: str, wanted: str) -> bool:
    return wanted in ("?", character)


def _may_match_below(folders: Sequence[str], groups: Sequence[Sequence[_Segment]]) -> bool:
    """Compares the segments before the first `**`; the rest can match anything below."""
    first = groups[0]
    if len(groups) == 1 and len(folders) >= len(first):
        return False
    return all(map(_segment_matches, folders, first))
