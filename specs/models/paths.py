"""Which files are specs, where their relative paths lead, and which paths a tenant may speak at. Purely lexical.

Sources ask which files to read and what an `artifact:` points at; existence and symlinks are theirs to check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from posixpath import dirname, join, normpath

from specs.errors import KubeServeError
from specs.names import quoted

SPEC_NAMES = frozenset({"kubeserve.yaml", "kubeserve.yml"})
SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})
MAX_PATH = 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_GLOB_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")


class PathError(KubeServeError):
    """A path that is not, or leads to where it may not."""

    code = "path"


def is_spec_path(path: str) -> bool:
    """Whether a POSIX path from a source's root is a spec: kubeserve.yaml at any depth, no dot-folder on the way."""
    *folders, name = path.split("/")
    return name in SPEC_NAMES and not any(is_skipped_folder(folder) for folder in folders)


def is_skipped_folder(name: str) -> bool:
    """Whether specs are not looked for in folders of this name: .git, .venv, node_modules, …"""
    return name.startswith(".") or name in SKIPPED_FOLDERS


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
    """Whether a path from a source's root matches a glob: `**` crosses folders, `*` and `?` do not."""
    return any(_compiled(glob).fullmatch(path) for glob in globs)


def _check_characters(relative: str) -> None:
    if not relative.strip():
        raise PathError("Empty path", "Name a file or folder, relative to the folder of this file.")
    if len(relative) > MAX_PATH:
        raise PathError("Path is too long", f"A path has at most {MAX_PATH} characters; this has {len(relative)}.")
    if "\\" in relative:
        raise PathError("Backslash in a path", f"Write {quoted(relative.replace(chr(92), '/'))}, with slashes.")
    if _CONTROL.search(relative):
        raise PathError("Control character in a path", f"{quoted(relative)} has characters that no path needs.")


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = _GLOB_PARTS.findall(glob)
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts), re.DOTALL)
