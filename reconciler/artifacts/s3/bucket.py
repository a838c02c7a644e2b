"""One bucket, and the few S3 calls that a store needs. Every failure is a StoreError.

Called by `store.py`, `upload.py`, and `sources/remote.py` for an artifact with an s3:// URL.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from reconciler.artifacts.protocol import StoreError
from reconciler.artifacts.s3.client import S3Client, S3Settings, make_client, transfer_config
from reconciler.artifacts.s3.errors import ObjectAbsentError, translated

CHUNK = 1024 * 1024
PART = 8 * 1024 * 1024
WORKERS = 4
READ_TRIES = 4


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    modified: datetime  # by the server's clock


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """The server's metadata of an object: its size in bytes, and its SHA-256 in base64 if the server computed one
    (of the whole, or of its parts' SHA-256s)."""

    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One uploaded part of an object: its number from 1, the server's tag, and its SHA-256 in base64."""

    number: int
    etag: str
    sha256: str


class Bucket:
    def __init__(self, name: str, settings: S3Settings) -> None:
        self.name = name
        self._settings = settings
        self._making = threading.Lock()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object under a prefix, page after page."""
        with self._calling(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    yield StoredObject(item["Key"], item["LastModified"])

    def head(self, key: str) -> ObjectFacts:
        with self._calling(key):
            found = self._client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        # Servers that don't name the checksum's type (moto, rclone) only repeat the client's checksum.
        checksum = found.get("ChecksumSHA256") if found.get("ChecksumType") else None
        return ObjectFacts(found["ContentLength"], checksum.partition("-")[0] if checksum else None)

    def read(self, key: str, limit: int) -> bytes:
        """A small object whole. At most `limit` bytes and one chunk are read; a longer object is cut."""
        data = b""
        with self.open(key) as chunks:
            for chunk in chunks:
                data += chunk
                if len(data) > limit:
                    break
        return data

    @contextmanager
    def open(self, key: str) -> Generator[Iterator[bytes]]:
        """An object's chunks. After a broken connection the download resumes where it stopped."""
        chunks = self._chunks(key)
        try:
            yield chunks
        finally:
            chunks.close()

    def download(self, key: str, path: Path) -> None:
        """Downloads ranges in parallel, retrying each; the file appears at `path` when it is complete."""
        with self._calling(key):
            self._client.download_file(self.name, key, str(path), Config=transfer_config(PART, WORKERS))

    def put(self, key: str, body: bytes, sha256: bytes, *, if_absent: bool = False) -> None:
        """`if_absent`: ObjectHeldError if the object exists. Some servers ignore this; others don't support it."""
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        with self._calling(key):
            self._client.put_object(
                Bucket=self.name, Key=key, Body=body, ChecksumSHA256=b64encode(sha256).decode(), **condition
            )

    def delete(self, key: str) -> None:
        """Deletes an object; an absent one is no error."""
        with suppress(ObjectAbsentError), self._calling(key):
            self._client.delete_object(Bucket=self.name, Key=key)

    def start_upload(self, key: str) -> str:
        with self._calling(key):
            answer = self._client.create_multipart_upload(Bucket=self.name, Key=key, ChecksumAlgorithm="SHA256")
        return str(answer["UploadId"])

    def upload_part(self, key: str, upload: str, number: int, body: bytes, sha256: bytes) -> Part:
        checksum = b64encode(sha256).decode()
        with self._calling(key):
            answer = self._client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=body, ChecksumSHA256=checksum
            )
        return Part(number, answer["ETag"], checksum)

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        listed = [{"PartNumber": p.number, "ETag": p.etag, "ChecksumSHA256": p.sha256} for p in parts]
        with self._calling(key):
            self._client.complete_multipart_upload(
                Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": listed}
            )

    def abort_upload(self, key: str, upload: str) -> None:
        with self._calling(key):
            self._client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)

    def uploads_before(self, prefix: str, moment: datetime) -> Sequence[tuple[str, str]]:
        """Key and id of every unfinished multipart upload that was started before a moment."""
        with self._calling(prefix):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
            uploads = [upload for page in pages for upload in page.get("Uploads", ())]
        return [(upload["Key"], upload["UploadId"]) for upload in uploads if upload["Initiated"] < moment]

    def _chunks(self, key: str) -> Generator[bytes]:
        same: dict[str, str] = {}
        done = tries = 0
        while True:
            try:
                with self._calling(key):
                    wanted = {"Range": f"bytes={done}-", **same} if done else {}
                    answer = self._client.get_object(Bucket=self.name, Key=key, **wanted)
                    same = {"IfMatch": answer["ETag"]}
                    with closing(answer["Body"]) as body:
                        for chunk in body.iter_chunks(CHUNK):
                            done += len(chunk)
                            yield chunk
                return
            except StoreError as error:
                tries += 1
                if not error.retryable or tries == READ_TRIES:
                    raise

    def _calling(self, key: str) -> AbstractContextManager[None]:
        return translated(f"s3://{self.name}/{key}", self._settings.endpoint)

    @cached_property
    def _made(self) -> S3Client:
        return make_client(self._settings)

    @property
    def _client(self) -> S3Client:
        with self._making:  # sessions are not made concurrently
            return self._made
