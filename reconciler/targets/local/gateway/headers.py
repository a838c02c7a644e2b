"""Which headers of a message are forwarded, and which are for one hop only (RFC 9110, section 7.6.1).

Pure. `exchange` uses it for the head that a replica gets, `relay` for the one that a client gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

VARIANT_HEADER = "X-KubeServe-Variant"
VERSION_HEADER = "X-KubeServe-Version"

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_DROPPED_FROM_REQUESTS = _HOP_BY_HOP | {b"content-length", b"expect"}
_DROPPED_FROM_ANSWERS = _HOP_BY_HOP | {
    b"content-length",
    *(h.lower().encode() for h in (VARIANT_HEADER, VERSION_HEADER)),
}
_NAMES_NOTHING: tuple[list[str], ...] = (["keep-alive"], ["close"], [])


def signature(variant: str, version: str) -> bytes:
    """The header lines that name the variant that answered."""
    return f"{VARIANT_HEADER}: {variant}\r\n{VERSION_HEADER}: {version}\r\n".encode()


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
    forwarded_for: list[bytes] = []
    scheme, host = b"http", b"Host: localhost\r\n"
    kept: list[bytes] = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"host":
            host = b"Host: " + value + b"\r\n"
        elif lower == b"x-forwarded-for":
            forwarded_for.append(value)
        elif lower == b"x-forwarded-proto":
            scheme = value
        elif lower not in dropped:
            kept.append(name + b": " + value + b"\r\n")
    start = f"{method} {target} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
    chain = b", ".join((*forwarded_for, peer.encode()))
    forwarded = b"X-Forwarded-For: " + chain + b"\r\nX-Forwarded-Proto: " + scheme + b"\r\n\r\n"
    return b"".join((start, host, framing, *kept, forwarded))


def answer_head(start: bytes, headers: Iterable[tuple[bytes, bytes]], connection: Sequence[str], ours: bytes) -> bytes:
    """The head that a client gets of a replica's answer, byte for byte what the replica wrote.

    `start` is the status line; `connection` holds the replica's Connection headers; `ours` are the lines that say who
    answered, how long the body is, and what becomes of the client's connection. ValueError for a head that a client
    could read in two ways: the parser of answers is a lenient one.
    """
    dropped = _DROPPED_FROM_ANSWERS | _named(connection) if connection else _DROPPED_FROM_ANSWERS
    kept = [name + b": " + value + b"\r\n" for name, value in headers if name.lower() not in dropped]
    head = b"".join((start, *kept, ours, b"\r\n"))
    lines = len(kept) + ours.count(b"\n") + 2
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise ValueError("a line break is in its head")
    return head


def is_chunked(codings: Sequence[str]) -> bool:
    """Whether the values of Transfer-Encoding say chunked and nothing else, which is the one coding that we decode."""
    return len(codings) == 1 and codings[0].strip(" \t").lower() == "chunked"


def _named(connection: Sequence[str]) -> frozenset[bytes]:
    """The names of other headers that Connection declares to be for this hop alone, in lower case."""
    if list(connection) in _NAMES_NOTHING:
        return frozenset()
    names = (name.strip().lower() for value in connection for name in value.split(","))
    return frozenset(name.encode("utf-8", "surrogateescape") for name in names)
