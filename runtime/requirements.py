"""Parses a version's requirements.txt, and finds the packages in it that the interpreter lacks; `overlay.py` installs
them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from runtime.errors import RequirementsError


def parse_requirements(text: str) -> list[Requirement]:
    """Every requirement that applies to this Python and platform, sorted. RequirementsError for options, paths and
    URLs."""
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


def _parse_line(number: int, content: str) -> list[Requirement]:
    """The requirement of a line; none where it is not for this Python and platform."""
    try:
        requirement = Requirement(content)
        applies = requirement.marker is None or requirement.marker.evaluate()
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
        requirement, applies = None, False
    if requirement is None or requirement.url:
        raise RequirementsError(
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
