"""Errors of the API server, in words that say what to do. Made by `transport.py`; raised through everything."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

import orjson

from reconciler.model.resources import JSON
from reconciler.targets.protocol import TargetError
from specs.untrusted import Untrusted, cut

_CONFLICT = re.compile(r'conflict with "(?P<manager>[^"]+)"(?: with subresource "[^"]*")?(?P<update> using )?')
"""Only of a manager that updates does the server say with which version and when: apimachinery's `conflict.go`."""


class Reason(StrEnum):
    """The reasons in the API server's Status that the target distinguishes."""

    NOT_FOUND = "NotFound"
    CONFLICT = "Conflict"
    ALREADY_EXISTS = "AlreadyExists"
    INVALID = "Invalid"
    FORBIDDEN = "Forbidden"
    UNAUTHORIZED = "Unauthorized"
    EXPIRED = "Expired"
    TOO_MANY_REQUESTS = "TooManyRequests"
    UNREACHABLE = "Unreachable"  # ours: no answer at all
    OTHER = "Other"


RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})

_BY_STATUS = {
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    409: Reason.CONFLICT,
    410: Reason.EXPIRED,
    422: Reason.INVALID,
    429: Reason.TOO_MANY_REQUESTS,
}
_SUMMARIES = {
    Reason.UNAUTHORIZED: "The cluster does not accept these credentials",
    Reason.FORBIDDEN: "The cluster does not allow this",
    Reason.NOT_FOUND: "Not found in the cluster",
    Reason.CONFLICT: "Somebody else owns this field",
    Reason.INVALID: "The cluster refuses this object",
    Reason.TOO_MANY_REQUESTS: "The cluster is overloaded",
    Reason.UNREACHABLE: "The cluster does not answer",
}


MAX_BODY = 300
"""Characters of an answer that is no Status, in a message."""


class Conflict(NamedTuple):
    """A field that another manager owns."""

    manager: str
    field: str
    applied: bool  # by applying it, and not by an update (an edit, a patch, a scaling)


class KubeError(TargetError):
    """The API server answered with an error, or not at all."""

    code = "kubernetes"

    def __init__(self, reason: Reason, what: str, message: str, status: int = 0, causes: tuple[str, ...] = ()) -> None:
        summary = _SUMMARIES.get(reason, "The cluster did not answer as it should")
        super().__init__(summary, f"{what}: {Untrusted(message)}", retryable=status in RETRYABLE_STATUS or not status)
        self.reason = reason
        self.status = status
        self.message = message
        self.causes = causes

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """After a server-side apply: the other managers and their fields."""
        found = []
        for cause in self.causes:
            field, _, text = cause.partition("\n")
            if match := _CONFLICT.search(text):
                found.append(Conflict(match["manager"], field, applied=match["update"] is None))
        return tuple(found)


def error_of(status: int, body: bytes, what: str) -> KubeError:
    """The error for an answer with a `status` >= 400. `what`: the verb and the object, for people."""
    document = _status(body)
    reason = _BY_STATUS.get(status, Reason.OTHER)
    if document.get("reason") == Reason.ALREADY_EXISTS:
        reason = Reason.ALREADY_EXISTS
    details = document.get("details") or {}
    causes = tuple(f"{c.get('field', '')}\n{c.get('message', '')}" for c in details.get("causes") or ())
    message = str(document.get("message") or f"HTTP status {status}")
    return KubeError(reason, what, message, status, causes)


def _status(body: bytes) -> dict[str, JSON]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": cut(body.decode(errors="replace").strip(), MAX_BODY)}
    return document if isinstance(document, dict) else {}
