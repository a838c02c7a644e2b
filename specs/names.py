"""The rules for names, and suggestions for names that don't exist. Imports nothing heavy.

Used by the models of both files, by the messages of the loader, and by the command line for its suggestions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from specs.problems import Refusal
from specs.untrusted import Untrusted

MAX_NAME = 40
MAX_VERSION = 63
MAX_ENV_NAME = 128
RESERVED_TENANTS = frozenset({"api", "health", "metrics", "v1", "v2"})
RESERVED_PREFIX = "kube-"
RESERVED_ENV_PREFIX = "KUBESERVE_"

LABEL_PATTERN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
VERSION_PATTERN = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
ENV_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"

_LABEL = re.compile(LABEL_PATTERN)
_VERSION = re.compile(VERSION_PATTERN)
_ENV = re.compile(ENV_PATTERN)
_LOOKED_AT = 4_000  # characters of an input that may be a credential
_CANDIDATES = 200  # with more candidates than this, suggestions are slow and useless


def check_label(name: str, what: str) -> str:
    """An RFC 1123 label of at most MAX_NAME characters, or a Refusal. `what`: "tenant", "model", …"""
    if len(name) <= MAX_NAME and _LABEL.fullmatch(name):
        return name
    if len(name) > MAX_NAME:
        why = f"The {what} name {quoted(name)} has {len(name)} characters; at most {MAX_NAME} are allowed."
    else:
        why = (
            f"The {what} name {quoted(name)} must consist of lower-case letters, digits and '-', and start and end "
            "with a letter or digit."
        )
    raise Refusal("invalid-name", "Invalid name", why + _suggest_label(name))


def check_tenant(name: str) -> str:
    """A label that is not reserved for a path of the gateway or a namespace of Kubernetes, or a Refusal."""
    check_label(name, "tenant")
    if name in RESERVED_TENANTS or name.startswith(RESERVED_PREFIX):
        raise Refusal(
            "reserved-name",
            "Reserved name",
            f"No tenant can be named '{name}': {', '.join(sorted(RESERVED_TENANTS))} and names that start with "
            f"'{RESERVED_PREFIX}' are used by the platform itself. Choose another name.",
        )
    return name


def check_version(name: str) -> str:
    """A version's name, or a Refusal."""
    if len(name) <= MAX_VERSION and _VERSION.fullmatch(name):
        return name
    if len(name) > MAX_VERSION:
        why = f"The version name {quoted(name)} has {len(name)} characters; at most {MAX_VERSION} are allowed."
    else:
        why = (
            f"The version name {quoted(name)} must consist of letters, digits, '.', '_' and '-', and start and end "
            "with a letter or digit."
        )
    raise Refusal("invalid-name", "Invalid name", why)


def check_env_name(name: str) -> str:
    """The name of an environment variable that a tenant may set, or a Refusal."""
    if len(name) > MAX_ENV_NAME or not _ENV.fullmatch(name):
        raise Refusal(
            "invalid-name",
            "Invalid environment variable name",
            f"{quoted(name)} must consist of letters, digits and '_', not start with a digit, and have at most "
            f"{MAX_ENV_NAME} characters.",
        )
    if name.startswith(RESERVED_ENV_PREFIX):
        raise Refusal(
            "reserved-name",
            "Reserved environment variable",
            f"{name} can't be set: variables that start with {RESERVED_ENV_PREFIX} are how the platform talks to "
            "the model server. Choose another name.",
        )
    return name


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """ " Did you mean 'x'?" with its leading space, or "" if no candidate is similar."""
    found = nearest(word, candidates)
    return f" Did you mean '{found}'?" if found else ""


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant, ignoring case, or None."""
    from difflib import get_close_matches

    folded = {
        name.casefold(): name for name in islice(candidates, _CANDIDATES) if abs(len(name) - len(word)) <= len(word)
    }
    cutoff = 0.5 if len(word) <= 3 else 0.6  # one equal letter of two is enough: v3 is similar to v2
    found = get_close_matches(word[:MAX_VERSION].casefold(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def listing(names: Iterable[str], limit: int = 8) -> str:
    """ "v1", "v1 and v2", "v1, v2 and v3", and beyond the limit "v1, v2, … and 12 more"; "none" for no names."""
    all_names = list(names)
    if not all_names:
        return "none"
    if len(all_names) > limit:
        return f"{', '.join(all_names[:limit])}, … and {len(all_names) - limit} more"
    *first, last = all_names
    return f"{', '.join(first)} and {last}" if first else last


def quoted(text: str, limit: int = 60) -> str:
    """Foreign text for a message: quoted, on one line, cut after `limit` characters with a note that it was cut.

    Bytes that are not UTF-8 become question marks."""
    from specs.credentials import HIDDEN, may_hold_credential

    if may_hold_credential(text[:_LOOKED_AT]):
        return f"'{HIDDEN}'"
    return f"'{Untrusted(text.encode(errors='replace').decode()).cut(limit)}'"


def _suggest_label(name: str) -> str:
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f" Did you mean '{label}'?" if label and label != name and len(label) <= MAX_NAME else ""
