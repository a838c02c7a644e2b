"""The artifact store and the state file: reachable, readable, and writable for us. Called by `checks.py`.

The check writes to a bucket, because there is no other way to know whether that works: one empty object under a name
that no tenant can have, which is deleted again.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.artifacts.protocol import StoreError
from reconciler.doctor.findings import Finding, ok, problem, warning
from reconciler.model.paths import Paths
from reconciler.state.home import HomeError, check_home
from specs.models.platform import ArtifactStoreSpec, FilesystemStoreSpec

if TYPE_CHECKING:
    from reconciler.artifacts.s3.bucket import Bucket
    from reconciler.state.file import StateFile
    from specs.models.platform import S3StoreSpec

PROBE_FOLDER = ".kubeserve-doctor/"
ATTEMPTS = 2  # of one request
_NOTHING = hashlib.sha256(b"").digest()


def home(paths: Paths) -> Iterator[Finding]:
    try:
        check_home(paths)
    except HomeError as error:
        yield problem(error.summary, error.detail)
    else:
        yield ok(f"{paths.home} is this user's alone" if paths.home.exists() else f"The first apply makes {paths.home}")


def store(spec: ArtifactStoreSpec, base: Path) -> Iterator[Finding]:
    """`base`: the folder of platform.yaml, where a relative path starts from."""
    if isinstance(spec, FilesystemStoreSpec):
        yield from _folder(base / spec.path, "artifact store")
    else:
        yield from _bucket(spec)


def state(file: StateFile) -> Iterator[Finding]:
    recorded = file.load()
    if not file.path.exists():
        yield from _folder(file.path.parent, "state file's folder")
        return
    if not os.access(file.path.parent, os.W_OK):
        yield _unwritable(file.path.parent, "state file's folder")
        return
    yield ok(f"State file {file.path}, serial {recorded.serial}")


def _folder(folder: Path, what: str) -> Iterator[Finding]:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield _unwritable(there, what)
    else:
        yield ok(f"The {what} is {folder}" + ("" if there == folder else ", which the first apply makes"))


def _unwritable(path: Path, what: str) -> Finding:
    return problem(
        f"The {what} can't be written",
        f"{path} is no folder in which this user may read and write.",
        "Give this user the right to, or name another path in platform.yaml.",
    )


def _bucket(spec: S3StoreSpec) -> Iterator[Finding]:
    from reconciler.artifacts.s3.bucket import Bucket
    from reconciler.artifacts.s3.client import S3Settings

    bucket = Bucket(spec.bucket, S3Settings(spec.endpoint, spec.region, spec.path_style, ATTEMPTS))
    where = f"s3://{spec.bucket}/{spec.prefix}"
    next(bucket.list(f"{spec.prefix}{PROBE_FOLDER}"), None)
    key = f"{spec.prefix}{PROBE_FOLDER}{uuid.uuid4().hex}"
    bucket.put(key, b"", _NOTHING)
    yield ok(f"The artifact store is {where}, and can be read and written")
    try:
        yield _conditional(bucket, key)
    except StoreError as error:
        yield problem(error.summary, error.detail)
    yield from _deleted(bucket, key)


def _conditional(bucket: Bucket, key: str) -> Finding:
    from reconciler.artifacts.s3.errors import NotSupportedError, ObjectHeldError

    try:
        bucket.put(key, b"", _NOTHING, if_absent=True)
        how = "It overwrote an existing object in spite of If-None-Match"
    except ObjectHeldError:
        return ok("The artifact store honours conditional writes")
    except NotSupportedError:
        how = "It refuses conditional writes (If-None-Match)"
    return warning(
        "The artifact store has no conditional writes",
        f"{how}. Versions are safe all the same: their names hold the digests of what they are. A state that several "
        "machines share would not be.",
        "Keep the state file on a disk, or use a server that honours conditional writes.",
    )


def _deleted(bucket: Bucket, key: str) -> Iterator[Finding]:
    try:
        bucket.delete(key)
    except StoreError as error:
        yield warning(
            "Nothing can be deleted from the artifact store",
            f"{error.detail} Leftovers of failed uploads, and versions that nobody needs any more, stay in the store.",
            f"Allow deleting (s3:DeleteObject), and delete {key}.",
        )
