"""Both kinds of store with a door at the back: what is really stored, and means to damage it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.artifacts.protocol import ArtifactStore, VersionRef
from tests.support.stores.s3_servers import S3Server

T = TypeVar("T")


class StoreRoom(Protocol):
    store: ArtifactStore

    def names(self) -> list[str]:
        """Everything stored, as `tenant/model/version/hex/file`, sorted; staging areas are not looked into."""

    def read(self, ref: VersionRef, name: str) -> bytes: ...

    def write(self, ref: VersionRef, name: str, data: bytes) -> None: ...

    def delete(self, ref: VersionRef, name: str) -> None: ...

    def unfinished(self) -> int:
        """Uploads that were begun and neither completed nor aborted, and staging folders."""


class FolderRoom:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.store: ArtifactStore = FilesystemStore(root)

    def names(self) -> list[str]:
        files = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in files if ".incoming" not in path.parts)

    def read(self, ref: VersionRef, name: str) -> bytes:
        return (self.root / ref.folder / name).read_bytes()

    def write(self, ref: VersionRef, name: str, data: bytes) -> None:
        path = self.root / ref.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def delete(self, ref: VersionRef, name: str) -> None:
        (self.root / ref.folder / name).unlink()

    def unfinished(self) -> int:
        return sum(path.is_dir() for path in self.root.glob("*/.incoming/*"))


class BucketRoom:
    PREFIX = "models/"

    def __init__(self, server: S3Server) -> None:
        self._client = server.client
        self.bucket = server.make_bucket()
        self.store: ArtifactStore = server.store(self.bucket, self.PREFIX)

    def names(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(o["Key"].removeprefix(self.PREFIX) for page in pages for o in page.get("Contents", ()))

    def read(self, ref: VersionRef, name: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=self.bucket, Key=self._key(ref, name))["Body"].read()
        return body

    def write(self, ref: VersionRef, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=self._key(ref, name), Body=data)

    def delete(self, ref: VersionRef, name: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=self._key(ref, name))

    def unfinished(self) -> int:
        try:
            found = self._client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.PREFIX)
        except self._client.exceptions.NoSuchUpload:  # how rclone says that there are none
            return 0
        return len(found.get("Uploads", ()))

    def _key(self, ref: VersionRef, name: str) -> str:
        return f"{self.PREFIX}{ref.folder}{name}"


def at_once(count: int, work: Callable[[int], T]) -> list[T | Exception]:
    """What `work(0)` to `work(count - 1)` return or raise, run together."""

    def caught(index: int) -> T | Exception:
        try:
            return work(index)
        except Exception as error:  # the test looks at it
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(caught, range(count)))


def cached(cache: Path) -> list[str]:
    """What can be taken for a version in a cache: everything but locks and partial downloads."""
    return [path.name for path in cache.glob("versions/*/*") if not path.name.startswith(".")]
