"""Values of objects as a plan shows them: short, and without what looks like a credential. Pure.

Called by `compare.py` for each path that differs.
"""

from __future__ import annotations

import re

from reconciler.fields import hidden
from reconciler.printable import printable
from reconciler.resources import JSON
from specs.credentials import hide_credentials, looks_like_credential

MAX_VALUE = 200
"""Characters of a value, where differences of objects are asked for."""

_NAMED = re.compile(r"\.env\[(?P<variable>[^\]]*)\]\.value$|^metadata\.(?:labels|annotations)\.(?P<note>.+)$")
"""Paths whose values have a name that somebody chose; other names are those of the API itself."""


def text(value: JSON, path: str, limit: int) -> str | None:
    """At most `limit` characters; None for what is not there."""
    if value is None:
        return None
    named = _NAMED.search(path)
    name = (named["variable"] or named["note"].rstrip("]")) if named else ""
    found = printable(str(_safe(value, name))).replace("\n", "\\n")
    return found if len(found) <= limit else found[: limit - 3] + "..."


def _safe(value: JSON, name: str) -> JSON:
    if isinstance(value, dict):
        called = value.get("name") if isinstance(value.get("value"), str) else None  # a variable of an environment
        return {key: _safe(below, str(called) if key == "value" and called else "") for key, below in value.items()}
    if isinstance(value, list):
        return [_safe(one, "") for one in value]
    if isinstance(value, str) and (looks_like_credential(value, name) or hide_credentials(value) != value):
        return hidden(value)
    return value
