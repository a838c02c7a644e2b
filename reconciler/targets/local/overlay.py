"""The packages that a version asks for beyond what its runtime has: a folder that goes in front of them.

In: a version's requirements.txt. Out: None where nothing is missing (then no index is asked), else a folder for
PYTHONPATH, made once for the same requirements. Called when a variant starts; takes as long as pip takes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
from filelock import FileLock, Timeout
from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from reconciler.targets.local.environment import installer_environment
from reconciler.targets.local.marks import make_folder
from reconciler.targets.protocol import TargetError

INSTALL_SECONDS = 900.0
"""For one requirements.txt: resolving, downloading and, for packages without a wheel, building."""

_PIP = (sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color")
_QUOTED_LINES = 3


def prepare_overlay(requirements: Path, cache: Path) -> Path | None:
    """The folder that holds what is missing for a requirements.txt, installed if it is not there yet.

    TargetError: a line that is no plain requirement, or pip's last words. Safe to call from many processes.
    """
    wanted = parse_requirements(_text(requirements))
    if not missing(wanted):
        return None
    folder = cache / "overlays" / _digest(wanted)
    if not folder.is_dir():
        _install_once(wanted, folder)
    return folder


def parse_requirements(text: str) -> list[Requirement]:
    """Every requirement that applies to this Python and platform, sorted; options, paths and URLs are refused."""
    found = []
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), start=1):
        content = line.partition(" #")[0].strip()
        if not content or content.startswith("#"):
            continue
        found += _parse_line(number, content)
    return sorted(found, key=str)


def missing(requirements: Iterable[Requirement]) -> list[Requirement]:
    """Those that the interpreter does not satisfy as it is."""
    return [requirement for requirement in requirements if not _is_satisfied(requirement, frozenset())]


def _text(requirements: Path) -> str:
    try:
        return requirements.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError("requirements.txt can't be read", f"{requirements}: {error}.") from error


def _parse_line(number: int, content: str) -> list[Requirement]:
    """The requirement of a line; none where it is not for this Python and platform."""
    try:
        requirement = Requirement(content)
        applies = requirement.marker is None or requirement.marker.evaluate()
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
        requirement, applies = None, False
    if requirement is None or requirement.url:
        raise TargetError(
            "Unsupported line in requirements.txt",
            f"Line {number} is {content[:80]!r}. Only plain requirements such as `pandas>=2,<3` are installed: no "
            "options, paths, URLs or hashes. Where packages come from is the operator's to say (PIP_INDEX_URL).",
        )
    return [requirement] if applies else []


def _is_satisfied(requirement: Requirement, seen: frozenset[str]) -> bool:
    try:
        installed = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    if not _fits(requirement, installed.version):
        return False
    name = canonicalize_name(requirement.name)
    if name in seen:
        return True
    wanted = (Requirement(text) for text in installed.requires or () if requirement.extras)
    return all(_is_satisfied(r, seen | {name}) for r in wanted if _belongs_to_extras(r, requirement.extras))


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:  # of a package from before versions had rules
        return not requirement.specifier


def _belongs_to_extras(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return (
        marker is not None and not marker.evaluate({"extra": ""}) and any(marker.evaluate({"extra": e}) for e in extras)
    )


def _digest(requirements: Iterable[Requirement]) -> str:
    content = [[str(r) for r in requirements], sys.implementation.cache_tag, sys.platform, platform.machine()]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def _install_once(requirements: Sequence[Requirement], folder: Path) -> None:
    make_folder(folder.parent)
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=INSTALL_SECONDS, mode=0o600):
            if not folder.is_dir():
                _install(requirements, folder)
    except Timeout:
        raise TargetError(
            "Requirements are being installed",
            f"Another process has been installing the same requirements for {INSTALL_SECONDS:g} s.",
            retryable=True,
        ) from None


def _install(requirements: Sequence[Requirement], folder: Path) -> None:
    """Under the lock. pip resolves against what the interpreter has, so that only what lacks is installed."""
    if importlib.util.find_spec("pip") is None:
        raise TargetError(
            "Requirements can't be installed",
            f"{sys.executable} has no pip. Give it one: {sys.executable} -m ensurepip",
        )
    for left in folder.parent.glob(f"{folder.name}.partial-*"):  # of one who was killed here
        shutil.rmtree(left, ignore_errors=True)
    partial = folder.with_suffix(f".partial-{secrets.token_hex(4)}")
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    report = orjson.loads(_pip(("install", "--quiet", "--dry-run", "--report", "-", *map(str, requirements)), log))
    pins = sorted(f"{item['metadata']['name']}=={item['metadata']['version']}" for item in report["install"])
    _pip(("install", "--no-deps", "--progress-bar", "off", "--target", str(partial), *pins), log)
    partial.rename(folder)


def _pip(arguments: Sequence[str], log: Path) -> bytes:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        try:
            done = subprocess.run(
                (*_PIP, *arguments),
                env=installer_environment(),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stream,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _install_error(f"pip did not end within {INSTALL_SECONDS:g} s.", log) from None
    if done.returncode != 0:
        raise _install_error(_last_words(log), log)
    return done.stdout


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return " ".join(errors[-_QUOTED_LINES:]) or "pip said nothing."


def _install_error(cause: str, log: Path) -> TargetError:
    return TargetError("Requirements can't be installed", f"{cause}\npip's whole output: {log}", retryable=False)
