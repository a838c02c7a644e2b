"""What of a message's head goes on to the other side, and what is for one hop alone (RFC 9110, section 7.6.1).

Pure. `proxy` builds the request of a replica and the answer of a client with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from multidict import CIMultiDict, CIMultiDictProxy

VARIANT_HEADER = "X-KubeServe-Variant"
VERSION_HEADER = "X-KubeServe-Version"

_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_DROPPED_FROM_REQUESTS = frozenset(name.encode() for name in (*_HOP_BY_HOP, "content-length", "expect"))
_DROPPED_FROM_ANSWERS = _HOP_BY_HOP | {VARIANT_HEADER.lower(), VERSION_HEADER.lower()}
_NAMES_NOTHING: tuple[list[str], ...] = (["keep-alive"], ["close"], [])


def request_head(
    method: str,
    target: str,
    headers: Iterable[tuple[bytes, bytes]],
    connection: Sequence[str],
    peer: str,
    framing: bytes,
) -> bytes:
    """The whole head of the HTTP/1.1 request that a replica gets.

    `target` is the raw one, as the client sent it; `connection` holds the client's Connection headers, `peer` its
    address. `framing` is the line, if any, that says how long the body is: ours, never the client's.
    """
    dropped = _DROPPED_FROM_REQUESTS | _named(connection) if connection else _DROPPED_FROM_REQUESTS
    forwarded_for, scheme, host = peer.encode(), b"http", b"Host: localhost\r\n"
    kept: list[bytes] = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"host":
            host = b"Host: " + value + b"\r\n"
        elif lower == b"x-forwarded-for":
            forwarded_for = value + b", " + forwarded_for
        elif lower == b"x-forwarded-proto":
            scheme = value
        elif lower not in dropped:
            kept.append(name + b": " + value + b"\r\n")
    start = f"{method} {target} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
    forwarded = b"X-Forwarded-For: " + forwarded_for + b"\r\nX-Forwarded-Proto: " + scheme + b"\r\n\r\n"
    return b"".join((start, host, framing, *kept, forwarded))


def answer_headers(headers: CIMultiDictProxy[str], variant: str, version: str) -> CIMultiDict[str]:
    """What the client gets of a replica's headers, with who answered.

    A length beside a transfer coding says nothing (RFC 9112, section 6.3), and goes.
    """
    kept = CIMultiDict(headers)
    dropped: Iterable[str] = _DROPPED_FROM_ANSWERS
    if "transfer-encoding" in kept:
        dropped = chain(dropped, ("content-length",))
    if "connection" in kept:
        dropped = chain(dropped, (name.decode() for name in _named(kept.getall("connection"))))
    for name in dropped:
        kept.popall(name, None)
    kept[VARIANT_HEADER], kept[VERSION_HEADER] = variant, version
    return kept


def _named(connection: Sequence[str]) -> frozenset[bytes]:
    """The names of other headers that Connection declares to be for this hop alone, in lower case."""
    if list(connection) in _NAMES_NOTHING:
        return frozenset()
    names = (name.strip().lower() for value in connection for name in value.split(","))
    return frozenset(name.encode("utf-8", "surrogateescape") for name in names)
