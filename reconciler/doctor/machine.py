"""This machine: Python, git and git-lfs, and space on its disk. Called by `checks.py`."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from reconciler.doctor.findings import Finding, ok, problem, warning
from specs.models.quantities import format_memory

MIN_PYTHON = (3, 11)
MIN_GIT = (2, 30)
MIN_FREE_BYTES = 256 * 2**20
ARTIFACTS_AT_ONCE = 2  # of the largest size allowed: one in the store or on its way there, one in a cache
VERSION_SECONDS = 10.0

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def python() -> Iterator[Finding]:
    found = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info >= MIN_PYTHON:
        yield ok(found)
    else:
        yield problem(found, "KubeServe needs Python 3.11 or later.", "Install it into an environment of a later one.")


def git() -> Iterator[Finding]:
    version = _version("git", "--version")
    least = ".".join(map(str, MIN_GIT))
    remedy = f"Install git {least} or later and put it into PATH."
    if version is None:
        yield problem("git is not installed", "No source in a Git repository can be read.", remedy)
    elif version[:2] < MIN_GIT:
        yield problem(f"git {_text(version)} is too old", f"KubeServe needs git {least} or later.", remedy)
    else:
        yield ok(f"git {_text(version)}")


def git_lfs() -> Iterator[Finding]:
    version = _version("git-lfs", "--version")
    if version is None:
        yield warning(
            "git-lfs is not installed",
            "Artifacts that a repository keeps with Git LFS can't be fetched; all others can.",
            "Install git-lfs (https://git-lfs.com) if a repository of yours uses it.",
        )
    else:
        yield ok(f"git-lfs {_text(version)}")


def disk(folder: Path, artifact_bytes: int) -> Iterator[Finding]:
    """`folder`: where KubeServe keeps what is its own; it may not be there yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    found = f"{format_memory(free >> 20 << 20)} free at {there}"
    wanted = ARTIFACTS_AT_ONCE * artifact_bytes
    if free < MIN_FREE_BYTES:
        yield problem(found, "Nothing can be stored, cached or recorded on a full disk.", "Free space.")
    elif free < wanted:
        yield warning(
            found,
            f"A version may have {format_memory(artifact_bytes)} (`limits: {{artifact: …}}`), and need "
            f"{format_memory(wanted)} while it is stored.",
            "Free space, or lower the limit.",
        )
    else:
        yield ok(found)


def _version(program: str, argument: str) -> tuple[int, ...] | None:
    """None where it is not installed, or does not say."""
    path = shutil.which(program)
    if path is None:
        return None
    done = subprocess.run([path, argument], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False)
    match = _VERSION.search(done.stdout)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
