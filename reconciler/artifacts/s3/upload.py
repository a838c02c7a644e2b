"""Uploads one stream of chunks into one object, and verifies that it arrived.

Called by `store.py` for every file of a version. Parts are uploaded in parallel; memory holds only the parts that are
being sent. Each carries its SHA-256, so that the server refuses a damaged one; boto3's TransferManager can send such
checksums only as trailers, which many servers other than AWS refuse. An upload that fails, or is interrupted, is
aborted.
"""

from __future__ import annotations

import hashlib
import threading
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice

from reconciler.artifacts.protocol import Report, StoreError
from reconciler.artifacts.s3.bucket import PART, WORKERS, Bucket, Part
from reconciler.artifacts.s3.errors import UploadGoneError

MAX_PARTS = 10_000  # a limit of S3
MAX_SENDING = 12

_SLOTS = threading.BoundedSemaphore(MAX_SENDING)
"""Parts in memory or being sent, over all uploads of this process."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The upload of the object `key`. `sha256`: hex, of the whole; `size`: bytes, if known beforehand."""

    bucket: Bucket
    key: str
    sha256: str
    size: int | None

    def run(self, chunks: Iterable[bytes], report: Report) -> None:
        """Stores and verifies. Raises the chunks' exceptions, and StoreError, retryable if another try may help;
        the object may then hold anything or nothing."""
        parts = parts_of(chunks, max(PART, -(-(self.size or 0) // MAX_PARTS)))
        first = deque(islice(parts, 2))
        if len(first) == 2:
            sent = _Tally(report)
            self._multipart(_released(first, parts), sent)
            self._verify(sent.size, {sent.checksum})
        else:
            body = b"".join(first)
            self.bucket.put(self.key, body, bytes.fromhex(self.sha256))
            report(len(body))
            self._verify(len(body), set())

    def _multipart(self, parts: Iterator[bytes], sent: _Tally) -> None:
        upload = self.bucket.start_upload(self.key)
        try:
            self._send(upload, parts, sent)
            with suppress(UploadGoneError):  # completed, but the response was lost and boto3 retried; verified next
                self.bucket.complete_upload(self.key, upload, sent.parts)
        except BaseException:
            with suppress(StoreError):  # a later put aborts it
                self.bucket.abort_upload(self.key, upload)
            raise

    def _send(self, upload: str, parts: Iterator[bytes], sent: _Tally) -> None:
        flying: deque[Future[tuple[Part, int]]] = deque()
        with ThreadPoolExecutor(WORKERS, "upload") as workers:
            for number in count(1):  # enumerate would keep a reference to its last part
                body = _taken(parts)
                if not body:
                    break
                if len(flying) == WORKERS:
                    sent.add(*flying.popleft().result())
                flying.append(workers.submit(self._send_part, upload, number, body))
                del body  # referenced only by the worker, so that it is freed once it has arrived
            while flying:
                sent.add(*flying.popleft().result())

    def _send_part(self, upload: str, number: int, body: bytes) -> tuple[Part, int]:
        try:
            sha256 = hashlib.sha256(body).digest()
            return self.bucket.upload_part(self.key, upload, number, body, sha256), len(body)
        finally:
            _SLOTS.release()

    def _verify(self, size: int, checksums: set[str]) -> None:
        """Compares the server's own checksum (of the whole or of the parts' checksums), else reads the object back."""
        facts = self.bucket.head(self.key)
        if facts.size != size:
            raise self._differs(f"{facts.size} bytes instead of {size}")
        if facts.sha256 is None:
            found = self._read_back()
            if found != self.sha256:
                raise self._differs(f"sha256 {found} instead of {self.sha256}")
        elif facts.sha256 not in {*checksums, b64encode(bytes.fromhex(self.sha256)).decode()}:
            raise self._differs(f"checksum {facts.sha256}, which is not that of what was sent")

    def _read_back(self) -> str:
        sha256 = hashlib.sha256()
        with self.bucket.open(self.key) as chunks:
            for chunk in chunks:
                sha256.update(chunk)
        return sha256.hexdigest()

    def _differs(self, how: str) -> StoreError:
        return StoreError(
            "What was stored is not what was sent", f"s3://{self.bucket.name}/{self.key} has {how}.", retryable=True
        )


class _Tally:
    """The parts that have arrived, in order."""

    def __init__(self, report: Report) -> None:
        self.parts: list[Part] = []
        self.size = 0
        self._report = report

    @property
    def checksum(self) -> str:
        """S3's composite checksum, without the number of parts at its end."""
        each = b"".join(b64decode(part.sha256) for part in self.parts)
        return b64encode(hashlib.sha256(each).digest()).decode()

    def add(self, part: Part, size: int) -> None:
        self.parts.append(part)
        self.size += size
        self._report(size)


def parts_of(chunks: Iterable[bytes], part_bytes: int) -> Iterator[bytes]:
    """The same bytes in parts of one size, the last one shorter; none is empty. Keeps a part only until it is taken."""
    waiting: list[memoryview] = []
    lacking = part_bytes
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            waiting.append(rest[:lacking])
            rest, lacking = rest[lacking:], lacking - len(waiting[-1])
            if not lacking:
                yield _joined(waiting)
                lacking = part_bytes
    if waiting:
        yield _joined(waiting)


def _taken(parts: Iterator[bytes]) -> bytes:
    """The next part, with a slot that its sender must release; after the last part empty bytes without a slot."""
    _SLOTS.acquire()
    body = b""
    try:
        body = next(parts, b"")
        return body
    finally:
        if not body:
            _SLOTS.release()


def _joined(waiting: list[memoryview]) -> bytes:
    body = b"".join(waiting)
    waiting.clear()
    return body


def _released(first: deque[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    """All parts, without keeping a reference to a part that was yielded."""
    while first:
        yield first.popleft()
    yield from rest
