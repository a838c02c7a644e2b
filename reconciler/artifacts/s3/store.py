"""The store in a bucket of AWS, MinIO, or any other S3 server.

A version's files are uploaded and verified first, its manifest last, so that readers see a version complete or not at
all. Two writers can't disagree on an object, because its key holds the digest that pins its bytes. Conditional writes,
which some servers ignore, are therefore not required. That a name has only one digest is checked before the upload,
before the manifest is written, and once more afterwards, when the later of two writers removes its version.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.artifacts import integrity
from reconciler.artifacts.cache import fetch_into
from reconciler.artifacts.protocol import Content, Report, StoreError, VersionRef, VersionTakenError
from reconciler.artifacts.s3.bucket import Bucket, StoredObject
from reconciler.artifacts.s3.client import S3Settings
from reconciler.artifacts.s3.errors import (
    DamagedError,
    NotSupportedError,
    ObjectAbsentError,
    ObjectHeldError,
    UploadGoneError,
    WriteConflictError,
)
from reconciler.artifacts.s3.upload import Upload
from runtime.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, FileEntry, Manifest

UPLOAD_TRIES = 2  # tries of a file, besides boto3's tries of each request
LEFTOVER_AGE = timedelta(days=1)
WRITE_PAUSES = (0.1, 0.4, 1.6)  # seconds; a conflict (409) lasts as long as another write of the same key


class S3Store:
    def __init__(self, bucket: str, prefix: str = "", settings: S3Settings | None = None) -> None:
        """`prefix` is empty or ends in a slash. Makes no request yet."""
        self._bucket = Bucket(bucket, settings or S3Settings())
        self._prefix = prefix
        self._tidied: set[str] = set()
        self._tidying = threading.Lock()

    @property
    def location(self) -> str:
        return f"s3://{self._bucket.name}/{self._prefix}"

    def list(self, tenant: str) -> Sequence[VersionRef]:
        integrity.require_safe_name(tenant)
        return sorted(ref for ref, _ in self._manifests(self._bucket.list(f"{self._prefix}{tenant}/")))

    def manifest(self, ref: VersionRef) -> Manifest:
        integrity.require_safe(ref)
        try:
            data = self._bucket.read(self._key(ref, MANIFEST_NAME), MAX_MANIFEST_BYTES)
        except ObjectAbsentError:
            raise integrity.absent(ref, self.location) from None
        return integrity.parse_manifest(data, ref, self.location)

    def put(self, ref: VersionRef, manifest: Manifest, files: Mapping[str, Content], report: Report) -> None:
        integrity.require_whole(ref, manifest, files)
        if self._is_stored(ref):
            return
        self._tidy(ref.tenant)
        for entry in manifest.files:
            self._upload(ref, entry, files[entry.name], report)
        try:
            if not self._is_stored(ref):
                self._complete(ref, manifest)
        except VersionTakenError:
            with suppress(StoreError):  # the upload was in vain; no reader sees it
                self.remove(ref)
            raise

    def fetch(self, ref: VersionRef, cache: Path) -> Path:
        """The version's folder in `cache`, downloaded if absent."""
        integrity.require_safe(ref)
        return fetch_into(cache, ref, self.location, lambda: self.manifest(ref), lambda n, p: self._download(ref, n, p))

    def remove(self, ref: VersionRef) -> None:
        integrity.require_safe(ref)
        self._bucket.delete(self._key(ref, MANIFEST_NAME))
        for item in list(self._bucket.list(self._key(ref, ""))):
            self._bucket.delete(item.key)

    def _key(self, ref: VersionRef, name: str) -> str:
        return f"{self._prefix}{ref.folder}{name}"

    def _siblings(self, ref: VersionRef) -> dict[VersionRef, datetime]:
        """Every stored digest of a version's name, and when it became visible by the server's clock."""
        return dict(self._manifests(self._bucket.list(f"{self._prefix}{ref.tenant}/{ref.model}/{ref.version}/")))

    def _manifests(self, objects: Iterable[StoredObject]) -> Iterator[tuple[VersionRef, datetime]]:
        for item in objects:
            match item.key.removeprefix(self._prefix).split("/"):
                case [tenant, model, version, digest, name] if name == MANIFEST_NAME and integrity.is_hex(digest):
                    yield VersionRef(tenant, model, version, f"sha256:{digest}"), item.modified

    def _is_stored(self, ref: VersionRef) -> bool:
        """StoreError if only another digest is stored under the name."""
        siblings = self._siblings(ref)
        if siblings and ref not in siblings:
            raise integrity.taken(ref, [other.digest for other in siblings])
        return ref in siblings

    def _upload(self, ref: VersionRef, entry: FileEntry, content: Content, report: Report) -> None:
        upload = Upload(self._bucket, self._key(ref, entry.name), entry.sha256, content.size)
        for tries_left in reversed(range(UPLOAD_TRIES)):
            progress = _Progress(report)
            try:
                with closing(integrity.pinned(content, entry)) as chunks:
                    upload.run(chunks, progress)
                return
            except StoreError as error:
                if not error.retryable or not tries_left:
                    raise
                report(-progress.sent)

    def _complete(self, ref: VersionRef, manifest: Manifest) -> None:
        """Writes the manifest, reads it back, and deletes it again if another digest was first."""
        self._write_manifest(ref, manifest.to_bytes())
        siblings = self._siblings(ref)
        mine = siblings.pop(ref, None)
        earlier = [other.digest for other, since in siblings.items() if mine is None or since <= mine]
        if earlier:
            self._bucket.delete(self._key(ref, MANIFEST_NAME))
            raise integrity.taken(ref, earlier)

    def _write_manifest(self, ref: VersionRef, data: bytes) -> None:
        key = self._key(ref, MANIFEST_NAME)
        with suppress(ObjectHeldError):  # by somebody who stored the same version
            self._write_once(key, data)
        if self._bucket.read(key, len(data)) != data:  # damaged in transit: no other bytes belong under this key
            self._bucket.put(key, data, hashlib.sha256(data).digest())
            self.manifest(ref)

    def _write_once(self, key: str, data: bytes) -> None:
        sha256 = hashlib.sha256(data).digest()
        for pause in (*WRITE_PAUSES, None):
            try:
                self._bucket.put(key, data, sha256, if_absent=True)
                return
            except NotSupportedError:
                self._bucket.put(key, data, sha256)
                return
            except (WriteConflictError, DamagedError):
                if pause is None:
                    raise
                time.sleep(pause)

    def _download(self, ref: VersionRef, name: str, path: Path) -> bool:
        try:
            self._bucket.download(self._key(ref, name), path)
        except ObjectAbsentError:
            return False
        return True

    def _tidy(self, tenant: str) -> None:
        """Once for each tenant: aborts uploads that were killed long ago, whose parts the server would keep."""
        with self._tidying:
            if tenant in self._tidied:
                return
            self._tidied.add(tenant)
        with suppress(StoreError):  # not permitted, or not supported by the server; nothing depends on it
            old = datetime.now(UTC) - LEFTOVER_AGE
            for key, upload in self._bucket.uploads_before(f"{self._prefix}{tenant}/", old):
                with suppress(UploadGoneError):
                    self._bucket.abort_upload(key, upload)


class _Progress:
    """Reports progress and sums it up, so that the bytes of a failed try can be subtracted."""

    def __init__(self, report: Report) -> None:
        self.sent = 0
        self._report = report

    def __call__(self, size: int) -> None:
        self.sent += size
        self._report(size)
