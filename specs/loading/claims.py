"""Decides which tenants an unreadable file may belong to, so that none of their deployments is deleted because of it.

Called by `loader.py`. In doubt more tenants are protected: a name counts only if the text allows no other.
"""

from __future__ import annotations

import re

from specs.models.platform import Platform
from specs.names import check_tenant
from specs.problems import Refusal
from specs.syntax.scalars import taken_for

_DOCUMENT = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_TENANT = re.compile(r"^tenant:[ \t]+([\"']?)([A-Za-z0-9_-]+)\1[ \t]*(?:#.*)?$", re.MULTILINE)
_ANY_TENANT = re.compile(r"^[\"']?tenant[\"']?[ \t]*:", re.MULTILINE)
_CONTENT = re.compile(r"^[^#\s]", re.MULTILINE)


def claimants(text: str, path: str, platform: Platform) -> frozenset[str] | None:
    """The tenants to which a file may belong; None if it may belong to any.

    Decided by the text if each document has a plain `tenant: NAME`, otherwise by the tenants' `paths:`.
    """
    names = tenants_in(text)
    if names is not None and all(_is_tenant(name, platform) for name in names):
        return names
    return tenants_at(path, platform)


def tenants_at(path: str, platform: Platform) -> frozenset[str] | None:
    """The tenants whose `paths:` match this path; None if platform.yaml lists no tenants, so that any may be meant."""
    if not platform.tenants:
        return None
    return frozenset(name for name in platform.tenants if platform.may_speak_at(name, path))


def tenants_below(folder: str, platform: Platform) -> frozenset[str] | None:
    """The tenants whose `paths:` may match a file in this folder; None if platform.yaml lists no tenants."""
    if not platform.tenants:
        return None
    return frozenset(name for name, grant in platform.tenants.items() if grant.may_speak_below(folder))


def tenants_in(text: str) -> frozenset[str] | None:
    """The names after `tenant:` at the left edge; None if a document has none, or one that isn't a plain name."""
    names: set[str] = set()
    for document in _DOCUMENT.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        if not _CONTENT.search(document):
            continue
        found = {name for quote, name in _TENANT.findall(document) if quote or not taken_for(name)}
        if not found or len(_ANY_TENANT.findall(document)) != len(_TENANT.findall(document)):
            return None
        names |= found
    return frozenset(names) or None


def _is_tenant(name: str, platform: Platform) -> bool:
    try:
        check_tenant(name)
    except Refusal:
        return False
    return not platform.tenants or name in platform.tenants
