"""Whether a version's files differ from the stored ones by carriage returns alone, as a checkout on Windows makes them.

Digests alone decide: a version's digest follows from the sha256 of its files, so those of the same files with the other
line endings are computed, and compared with the stored digests. The plan stage asks for versions that are refused
because their content is another one.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import product

from reconciler.artifacts.protocol import Content
from reconciler.model.resources import DesiredVersion, FileOrigin, ResourceId
from runtime.errors import RuntimeFault
from runtime.formats import Format
from runtime.manifest import Manifest
from runtime.packing import PackEntry, pack
from specs.errors import KubeServeError

MAX_BYTES = 64 * 2**20
"""Of a file that is looked at; larger ones are no text that an editor or Git would convert."""

_BINARY_WITHIN = 8_000  # bytes in which Git looks for a NUL to tell that a file is not text

Read = Callable[[FileOrigin], Content]


def differing_by_line_endings(
    versions: Mapping[ResourceId, DesiredVersion], stored: Mapping[ResourceId, Collection[str]], read: Read
) -> frozenset[ResourceId]:
    """The versions that are stored with another digest, which is that of the same files with other line endings."""
    return frozenset(
        version.id
        for version in versions.values()
        if (digests := stored.get(version.id)) and version.digest not in digests and _matches(version, digests, read)
    )


def _matches(version: DesiredVersion, digests: Collection[str], read: Read) -> bool:
    if version.manifest is None:
        return False
    is_folder = version.manifest.format is Format.PYTHON
    artifacts = _sha256s(version.artifact, read, is_folder=is_folder)
    requirements = _sha256s(version.requirements, read, is_folder=False)
    manifests = (Manifest.of(version.manifest.format, a, r) for a, r in product(artifacts, requirements) if a)
    return any(manifest.digest in digests for manifest in manifests)


def _sha256s(origin: FileOrigin | None, read: Read, *, is_folder: bool) -> list[str | None]:
    """Of the file as it is, with line feeds, and with carriage returns before them."""
    if origin is None:
        return [None]
    if not origin.source or origin.size is None or origin.size > MAX_BYTES:
        return [origin.sha256]
    try:
        with read(origin).open() as chunks:
            content = b"".join(chunks)
        convert = _converted_folder if is_folder else _converted
        return [origin.sha256, *(hashlib.sha256(convert(content, ending)).hexdigest() for ending in (b"\n", b"\r\n"))]
    except (KubeServeError, RuntimeFault, tarfile.TarError, OSError):
        return [origin.sha256]  # the refusal is shown either way


def _converted(content: bytes, ending: bytes) -> bytes:
    if b"\0" in content[:_BINARY_WITHIN]:
        return content
    unix = content.replace(b"\r\n", b"\n")
    return unix if ending == b"\n" else unix.replace(b"\n", ending)


def _converted_folder(packed: bytes, ending: bytes) -> bytes:
    entries = []
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
        for member in archive:
            file = archive.extractfile(member)
            content = _converted(file.read() if file else b"", ending)
            executable = bool(member.mode & 0o100)
            entries.append(PackEntry(member.name, executable, len(content), partial(io.BytesIO, content)))
    return b"".join(pack(entries))
