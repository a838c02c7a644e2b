"""Asks many replicas at once whether they are ready; takes as long as the slowest is allowed.

Called by observing and by readiness. One short-lived event loop asks all of them, so fifty that don't answer take as
long as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

QUICK_SECONDS = 0.5
"""For what is asked again soon: a replica that is busy counts as not ready until the next time."""
PATIENT_SECONDS = 5.0
"""For what decides: a replica that is busy is not to be taken for a dead one."""
MAX_CONNECTIONS = 256  # open at once; a shell's usual limit is 1024 files
MAX_ANSWER_BYTES = 64 * 1024

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of `/ready`. `status` is 0 if there was none in time, or if it was not HTTP."""

    status: int = 0
    body: Mapping[str, Any] | None = None

    def is_ready(self, digest: str) -> bool:
        """Whether it serves, and serves this version."""
        return self.status == HTTPStatus.OK and self.digest == digest

    @property
    def digest(self) -> str:
        return self._text("digest")

    @property
    def reason(self) -> str:
        """What the replica waits for, as it reports it."""
        return self._text("reason")

    def _text(self, name: str) -> str:
        return str((self.body or {}).get(name) or "")


def probe(addresses: Collection[Address], seconds: float) -> Mapping[Address, Answer]:
    """The answer of every address, each within `seconds`. Raises no error for an address that fails."""
    return asyncio.run(_probe_all(set(addresses), seconds)) if addresses else {}


async def _probe_all(addresses: Collection[Address], seconds: float) -> dict[Address, Answer]:
    slots = asyncio.Semaphore(MAX_CONNECTIONS)
    answers = await asyncio.gather(*(_probe(address, slots, seconds) for address in addresses))
    return dict(zip(addresses, answers, strict=True))


async def _probe(address: Address, slots: asyncio.Semaphore, seconds: float) -> Answer:
    try:
        async with slots, asyncio.timeout(seconds):
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
