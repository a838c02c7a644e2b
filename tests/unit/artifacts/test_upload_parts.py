"""Chunks of any sizes become parts of one size, and no byte is lost or moved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.artifacts.s3.upload import parts_of


@given(st.lists(st.binary(max_size=40)), st.integers(1, 16))
def test_parts_are_the_same_bytes_in_equal_sizes(chunks: list[bytes], size: int) -> None:
    parts = list(parts_of(chunks, size))
    assert b"".join(parts) == b"".join(chunks)
    assert all(len(part) == size for part in parts[:-1])
    assert all(0 < len(part) <= size for part in parts)
