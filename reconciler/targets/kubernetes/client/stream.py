"""The lines of an answer that the server keeps open: a log that is followed, a watch. Made by `transport.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.targets.kubernetes.client.errors import KubeError, Reason

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CHUNK_BYTES = 1 << 16


class Stream:
    """Iterated once, by one thread; `end` may be called by any."""

    def __init__(self, answer: BaseHTTPResponse, what: str) -> None:
        self._answer = answer
        self._what = what
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        """Lines as they come. KubeError UNREACHABLE when the connection breaks before the server has ended it."""
        import urllib3

        parts: list[bytes] = []  # of a line that is not whole yet
        try:
            while chunk := self._answer.read1(CHUNK_BYTES):  # what is there, be it little
                head, *tail = chunk.split(b"\n")
                parts.append(head)
                if tail:
                    yield b"".join(parts)
                    yield from tail[:-1]
                    parts = [tail[-1]]
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._ended:
                raise KubeError(Reason.UNREACHABLE, self._what, f"the connection broke: {error}") from error
            return
        finally:
            self._answer.close()  # with its connection: what was not read of it must not meet the next request
        if rest := b"".join(parts):
            yield rest

    def end(self) -> None:
        """Has the iteration end soon."""
        self._ended = True
        with suppress(OSError, ValueError, RuntimeError, TypeError):  # it is just ending by itself
            self._answer.shutdown()
