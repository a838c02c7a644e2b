"""Digests of artifacts: computed once for as long as the identity is the same, each failure its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.sources.cachefile import CacheFile
from reconciler.sources.digests import DigestCache, artifact_sha256, digest_all
from reconciler.sources.protocol import SourceArtifact, SourceError


class Counted:
    """An artifact that counts how often it is read."""

    def __init__(
        self, content: bytes, identity: str = "id", *, settled: bool = True, sha256: str | None = None, size: int = -1
    ) -> None:
        self.reads = 0
        self.content = content
        self.artifact = SourceArtifact(
            path="model.joblib",
            is_folder=False,
            size=len(content) if size < 0 else size,
            identity=identity,
            read_head=lambda: content[:512],
            open=self._open,
            sha256=sha256,
            settled=settled,
        )

    @contextmanager
    def _open(self) -> Iterator[Iterator[bytes]]:
        self.reads += 1
        yield iter((self.content[:3], self.content[3:]))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@pytest.fixture
def cache_path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "digests"


def test_a_digest_is_the_sha256_of_all_chunks(cache_path: Path) -> None:
    one = Counted(b"some bytes")
    assert artifact_sha256(one.artifact, DigestCache(cache_path)) == one.sha256


def test_an_unchanged_artifact_is_not_read_twice_not_even_by_another_process(cache_path: Path) -> None:
    one = Counted(b"some bytes")
    for _ in range(3):
        assert artifact_sha256(one.artifact, DigestCache(cache_path)) == one.sha256
    assert one.reads == 1


def test_an_artifact_with_another_identity_is_read(cache_path: Path) -> None:
    cache = DigestCache(cache_path)
    artifact_sha256(Counted(b"old", "a").artifact, cache)
    new = Counted(b"new", "b")
    assert artifact_sha256(new.artifact, cache) == new.sha256


def test_a_cached_digest_of_another_size_is_not_believed(cache_path: Path) -> None:
    cache = DigestCache(cache_path)
    cache.put("id", "0" * 64, 99)
    one = Counted(b"some bytes")
    assert artifact_sha256(one.artifact, cache) == one.sha256


def test_an_artifact_that_may_still_change_unseen_is_read_again(cache_path: Path) -> None:
    cache = DigestCache(cache_path)
    one = Counted(b"some bytes", settled=False)
    artifact_sha256(one.artifact, cache)
    artifact_sha256(one.artifact, cache)
    assert one.reads == 2


def test_a_digest_that_is_known_without_reading_is_taken(cache_path: Path) -> None:
    one = Counted(b"some bytes", sha256="1" * 64)
    assert artifact_sha256(one.artifact, DigestCache(cache_path)) == "1" * 64
    assert one.reads == 0


def test_two_versions_of_the_same_file_are_read_once(cache_path: Path) -> None:
    one = Counted(b"some bytes")
    found = digest_all({"v1": one.artifact, "v2": one.artifact}, DigestCache(cache_path))
    assert found == {"v1": one.sha256, "v2": one.sha256}
    assert one.reads == 1


def test_one_unreadable_artifact_leaves_the_others_their_digests(cache_path: Path) -> None:
    good, bad = Counted(b"good", "good"), Counted(b"bad", "bad", size=7)
    found = digest_all({"bad": bad.artifact, "good": good.artifact}, DigestCache(cache_path))
    assert list(found) == ["bad", "good"]
    assert found["good"] == good.sha256
    error = found["bad"]
    assert isinstance(error, SourceError)
    assert error.retryable
    assert "had 7 bytes and then 3" in error.detail


def test_a_failure_is_not_cached(cache_path: Path) -> None:
    cache = DigestCache(cache_path)
    with pytest.raises(SourceError):
        artifact_sha256(Counted(b"bad", size=7).artifact, cache)
    one = Counted(b"bad")
    assert artifact_sha256(one.artifact, cache) == one.sha256


def test_progress_counts_the_bytes_that_are_read(cache_path: Path) -> None:
    counts: list[int] = []
    cache = DigestCache(cache_path)
    artifact_sha256(Counted(b"some bytes").artifact, cache, counts.append)
    artifact_sha256(Counted(b"some bytes").artifact, cache, counts.append)
    assert counts == [3, 7]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema":1}',
        b'{"schema":1,"entries":[]}',
        b'{"schema":99,"entries":{"id":"x"}}',
        b'{"schema":1,"entries":{"id":7}}',
        b'{"schema":1,"entries":{"id":"zz 10"}}',
        b'{"schema":1,"entries":{"id":"' + b"0" * 64 + b' ten"}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_cache_is_an_empty_one(cache_path: Path, content: bytes) -> None:
    cache_path.parent.mkdir()
    cache_path.write_bytes(content)
    one = Counted(b"some bytes")
    assert artifact_sha256(one.artifact, DigestCache(cache_path)) == one.sha256
    assert artifact_sha256(one.artifact, DigestCache(cache_path)) == one.sha256
    assert one.reads == 1


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one = Counted(b"some bytes")
    assert artifact_sha256(one.artifact, DigestCache(tmp_path / "file" / "digests")) == one.sha256


def test_a_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = CacheFile(tmp_path / "cache", limit=2)
    cache.put("a", "1")
    cache.put("b", "2")
    cache.get("a")
    cache.put("c", "3")
    cache.save()
    again = CacheFile(tmp_path / "cache", limit=2)
    assert [again.get(key) for key in "abc"] == ["1", None, "3"]


def test_a_cache_keeps_what_another_process_wrote_meanwhile(tmp_path: Path) -> None:
    mine, theirs = (CacheFile(tmp_path / "cache", limit=10) for _ in range(2))
    assert mine.get("a") is None
    theirs.put("a", "1")
    theirs.save()
    mine.put("b", "2")
    mine.save()
    again = CacheFile(tmp_path / "cache", limit=10)
    assert (again.get("a"), again.get("b")) == ("1", "2")


def test_saving_leaves_no_other_file_behind(tmp_path: Path) -> None:
    cache = CacheFile(tmp_path / "cache", limit=10)
    cache.put("a", "1")
    cache.save()
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
