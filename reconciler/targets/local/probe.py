"""Asks many replicas at once whether they are ready, in the time that the slowest is given.

Called by observing and by readiness. One short-lived loop asks them all: fifty that don't answer take as long
as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

PROBE_SECONDS = 1.0
MAX_CONNECTIONS = 256  # open at once; a shell's usual limit is 1024 files
MAX_ANSWER_BYTES = 64 * 1024

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What `/ready` said. `status` 0: it did not answer in time, or not in HTTP."""

    status: int = 0
    body: Mapping[str, Any] | None = None


def probe(addresses: Collection[Address]) -> Mapping[Address, Answer]:
    """The answer of every address; never raises for one of them."""
    return asyncio.run(_probe_all(set(addresses))) if addresses else {}


async def _probe_all(addresses: Collection[Address]) -> dict[Address, Answer]:
    slots = asyncio.Semaphore(MAX_CONNECTIONS)
    answers = await asyncio.gather(*(_probe(address, slots) for address in addresses))
    return dict(zip(addresses, answers, strict=True))


async def _probe(address: Address, slots: asyncio.Semaphore) -> Answer:
    try:
        async with slots, asyncio.timeout(PROBE_SECONDS):
            return _parse(await _ask(*address))
    except (OSError, TimeoutError, ValueError, IndexError):
        return Answer()


async def _ask(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /ready HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < MAX_ANSWER_BYTES and (chunk := await reader.read(MAX_ANSWER_BYTES)):
            answer += chunk
        return answer
    finally:
        writer.close()


def _parse(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(None, 2)[1]) if head.startswith(b"HTTP/") else 0
    content = orjson.loads(body) if body else None
    return Answer(status, content if isinstance(content, dict) else None)
