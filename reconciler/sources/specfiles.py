"""Which specs of a revision are read whole, and what stands for the others.

A source may hold the specs of many tenants, so no file of one of them can stop the reading of the rest: what can't be
a spec, or is too much, is handed on as a line that the loader refuses and shows. To leave it out instead would look
as if its deployments were to be deleted. Called by both kinds of source.
"""

from __future__ import annotations

from collections.abc import Mapping

from specs.syntax.reader import MAX_FILE_BYTES

MAX_ALL_BYTES = 256 * 2**20
"""Bytes of all specs of one revision together."""

IRREGULAR = b"This is a symlink or no regular file, and so is not read. Put the spec itself here.\n"
TOO_MUCH = b"The specs of this source are too large together, and this is one of the largest. Make it smaller.\n"


def affordable(sizes: Mapping[str, int]) -> frozenset[str]:
    """The paths whose files are read, given the bytes of each: the smallest first, until MAX_ALL_BYTES are spent.
    Of a file that is larger than a spec may be, only as much counts as is read of it."""
    left = MAX_ALL_BYTES
    chosen = set()
    for path in sorted(sizes, key=lambda path: (sizes[path], path)):
        left -= min(sizes[path], MAX_FILE_BYTES + 1)
        if left < 0:
            break
        chosen.add(path)
    return frozenset(chosen)


def printable(path: str) -> str:
    """A path whose bytes needn't be UTF-8 (surrogates stand for those) as text that can be shown and stored."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
