"""Checks that all stores share: that a version's names are safe, and that bytes are those that its manifest pins;
and the errors for absent, different, and already taken versions. Called by the stores only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager

from reconciler.artifacts.protocol import Content, StoreError, VersionRef, VersionTakenError
from runtime.errors import DigestMismatch, ManifestError, RuntimeFault
from runtime.manifest import MANIFEST_NAME, FileEntry, Manifest

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEX = re.compile(r"[0-9a-f]{64}")


def require_safe(ref: VersionRef) -> None:
    """Names from specs are validated already; a store checks again, because they become paths and keys."""
    for name in (ref.tenant, ref.model, ref.version):
        require_safe_name(name)
    if not (ref.digest.startswith("sha256:") and is_hex(ref.hex)):
        raise StoreError("Not a digest", f"{ref.digest!r} is not 'sha256:' and 64 hex digits.")


def require_safe_name(name: str) -> None:
    if not _SAFE_NAME.fullmatch(name):
        raise StoreError("Not a name", f"{name!r} can't name a tenant, model or version in a store.")


def is_hex(name: str) -> bool:
    """Whether a name is that of a digest's folder."""
    return _HEX.fullmatch(name) is not None


def require_whole(ref: VersionRef, manifest: Manifest, files: Mapping[str, Content]) -> None:
    """StoreError unless the manifest has the pinned digest and each file that it names is given."""
    require_safe(ref)
    if manifest.digest != ref.digest:
        raise StoreError(
            "The manifest is not that of the version", f"{ref}: expected {ref.digest}, found {manifest.digest}."
        )
    if missing := sorted({entry.name for entry in manifest.files} - files.keys()):
        raise StoreError("A file of the version is missing", f"{ref}: nothing was given for {', '.join(missing)}.")


def parse_manifest(data: bytes, ref: VersionRef, location: str) -> Manifest:
    """Parses a stored manifest; StoreError unless it has the pinned digest."""
    found = hashlib.sha256(data).hexdigest()
    with stored(ref, location):
        if found != ref.hex:
            raise DigestMismatch(MANIFEST_NAME, ref.hex, found)
        return Manifest.from_bytes(data)


def pinned(content: Content, entry: FileEntry) -> Generator[bytes]:
    """The content's chunks; raises after the last one unless the bytes are the pinned ones."""
    sha256 = hashlib.sha256()
    try:
        with content.open() as chunks:
            for chunk in chunks:
                sha256.update(chunk)
                yield chunk
    except (OSError, RuntimeFault) as error:
        raise StoreError("The artifact can't be read", f"{entry.name}: {error}.") from error
    if (found := sha256.hexdigest()) != entry.sha256:
        raise StoreError(
            "The bytes to store are not those that were pinned",
            f"{entry.name}: expected sha256 {entry.sha256}, found {found}. "
            "It changed since its digest was computed; run the command again.",
        )


@contextmanager
def stored(ref: VersionRef, location: str) -> Generator[None]:
    """Turns the runtime's errors about stored bytes into a StoreError."""
    try:
        yield
    except DigestMismatch as error:
        raise StoreError(
            "Stored bytes are not those that were pinned",
            f"{ref} in {location}: {error.file}: expected sha256 {error.expected}, found {error.found}. "
            f"It was damaged or tampered with; remove {ref.folder} there and push the version again.",
        ) from error
    except ManifestError as error:
        raise StoreError(
            "A stored version is damaged", f"{ref} in {location}: {error}. Remove {ref.folder} there and push again."
        ) from error


def absent(ref: VersionRef, location: str) -> StoreError:
    return StoreError(
        "Version is not in the store",
        f"{location} holds no complete {ref} with digest {ref.digest}. Push it, or correct the digest in the spec.",
    )


def taken(ref: VersionRef, digests: Collection[str]) -> VersionTakenError:
    return VersionTakenError(
        "Version is already stored with another digest",
        f"The {ref} is {', '.join(sorted(digests))} and was asked to become {ref.digest}. "
        "A version never changes once it is stored: name a new version.",
    )
