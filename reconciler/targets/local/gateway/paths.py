"""Finds the deployment that a request's path belongs to. Pure; called by `proxy` for every request.

Paths are matched raw: nothing is decoded and no `..` resolved, so that what was matched is, byte for byte, what the
replica gets, and no spelling of one tenant's path is another tenant's.
"""

from __future__ import annotations

from runtime.paths import PREDICT_PREFIX

_SCHEMES = ("http", "https")


def origin_form(target: str) -> str | None:
    """The path and query of a request target; None for targets that have no path (`*`, CONNECT's `host:port`).

    Servers have to take the absolute form too (RFC 9112, section 3.2.2).
    """
    if target.startswith("/"):
        return target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        return None
    _, slash, path = rest.partition("/")
    return f"/{path}" if slash else "/"


def path_of(target: str) -> str:
    """An origin-form target without its query."""
    return target.partition("?")[0]


def route_key(target: str) -> str:
    """`tenant/deployment` of /TENANT/DEPLOYMENT/…, also after PREDICT_PREFIX; else a text that is no key."""
    path = path_of(target)
    start = len(PREDICT_PREFIX) if path.startswith(PREDICT_PREFIX) else 1
    tenant_end = path.find("/", start)
    deployment_end = path.find("/", tenant_end + 1)
    return path[start:deployment_end] if deployment_end > 0 else path[start:]
