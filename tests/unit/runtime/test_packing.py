"""A folder packs into the same bytes every time, and unpacks into the same folder and nowhere else."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import PackError
from runtime.packing import PackEntry, UnpackLimits, folder_entries, pack, packed_size, unpack

NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1, max_size=60
).filter(lambda name: name not in (".", "..", "__pycache__") and not name.endswith(".pyc"))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).filter(lambda path: len(path.encode()) < 800)
FILES = st.tuples(st.binary(max_size=2000), st.booleans())


def is_a_folder(files: Iterable[str]) -> bool:
    """No file is another one's folder, and no name is longer than file systems take."""
    paths = set(files)
    parents = {"/".join(path.split("/")[:i]) for path in paths for i in range(1, path.count("/") + 1)}
    return not paths & parents and all(len(part.encode()) <= 255 for path in paths for part in path.split("/"))


FOLDERS = st.dictionaries(PATHS, FILES, max_size=6).filter(is_a_folder)


def entry(path: str, content: bytes = b"x", executable: bool = False) -> PackEntry:
    return PackEntry(path, executable, len(content), lambda: io.BytesIO(content))


def entries(files: dict[str, tuple[bytes, bool]]) -> list[PackEntry]:
    return [entry(path, content, executable) for path, (content, executable) in files.items()]


def packed(files: Iterable[PackEntry]) -> bytes:
    return b"".join(pack(files))


def contents(folder: Path) -> dict[str, tuple[bytes, bool]]:
    found = {}
    for item in folder_entries(folder):
        with item.open() as file:
            found[item.path] = (file.read(), item.executable)
    return found


@given(FOLDERS)
def test_unpacking_gives_back_what_was_packed(files: dict[str, tuple[bytes, bool]]) -> None:
    with TemporaryDirectory() as folder:
        tar = Path(folder, "model.tar")
        tar.write_bytes(packed(entries(files)))
        unpack(tar, Path(folder, "out"))
        assert contents(Path(folder, "out")) == files


@given(FOLDERS, st.randoms())
def test_the_order_of_the_files_does_not_matter(files: dict[str, tuple[bytes, bool]], shuffler: random.Random) -> None:
    shuffled = entries(files)
    shuffler.shuffle(shuffled)
    assert packed(shuffled) == packed(entries(files))


@given(FOLDERS)
def test_the_size_is_known_before_a_file_is_opened(files: dict[str, tuple[bytes, bool]]) -> None:
    assert packed_size(entries(files)) == len(packed(entries(files)))


def test_it_is_a_tar_that_any_tar_reads() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed([entry("b/run.sh", b"#!", True), entry("a")]))) as archive:
        members = archive.getmembers()
    assert [(m.name, m.mode, m.mtime, m.uid, m.gid, m.uname) for m in members] == [
        ("a", 0o644, 0, 0, 0, ""),
        ("b/run.sh", 0o755, 0, 0, 0, ""),
    ]


def test_the_bytes_are_the_same_on_every_machine_and_release() -> None:
    files = [entry("predictor.py", b"class Predictor: ..."), entry("é" * 70, b"", executable=True)]
    pinned = "7947a328ce02ac7bd80f88c89ca7dfe9b4d85382da4378be65839d4c9b1113c1"
    assert hashlib.sha256(packed(files)).hexdigest() == pinned


def test_no_more_than_a_chunk_is_held() -> None:
    class Zeros(io.RawIOBase):
        left = 64 * 1024 * 1024

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            assert isinstance(buffer, memoryview)
            count = min(len(buffer), self.left)
            self.left -= count
            return count

    big = PackEntry("big", False, Zeros.left, lambda: io.BufferedReader(Zeros()))
    assert max(map(len, pack([big]))) <= 1024 * 1024


def test_pythons_caches_are_left_out(tmp_path: Path) -> None:
    files = {"predictor.py": (b"x", False)}
    noise = [entry("__pycache__/predictor.cpython-311.pyc"), entry("lib/__pycache__/x"), entry("old.pyc")]
    assert packed([*entries(files), *noise]) == packed(entries(files))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert folder_entries(tmp_path) == []


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\0b", "a\\b", "\ud800"])
def test_a_path_that_is_not_plain_is_not_packed(path: str) -> None:
    with pytest.raises(PackError):
        packed([entry(path)])


def test_a_path_twice_or_below_a_file_is_not_packed() -> None:
    with pytest.raises(PackError, match="one path twice"):
        packed([entry("a"), entry("a")])
    with pytest.raises(PackError, match="'a' is a file and a folder at once"):
        packed([entry("a"), entry("a/b/c")])


@pytest.mark.parametrize("size", [2, 4])
def test_a_file_that_changes_while_it_is_packed_is_noticed(size: int) -> None:
    changed = PackEntry("a", False, size, lambda: io.BytesIO(b"abc"))
    with pytest.raises(PackError, match="changed while it was packed"):
        packed([changed])


def test_a_link_in_a_folder_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to("/etc/passwd")
    with pytest.raises(PackError, match="'secret' is a link"):
        folder_entries(tmp_path)


def tar_of(tmp_path: Path, *members: tarfile.TarInfo) -> Path:
    tar = tmp_path / "evil.tar"
    with tarfile.open(tar, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return tar


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.size = size
    return info


@pytest.mark.parametrize(
    "evil",
    [
        member("../outside"),
        member("/outside"),
        member("a/../../outside"),
        member("link", tarfile.SYMTYPE, link="/etc/passwd"),
        member("link", tarfile.LNKTYPE, link="../outside"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
        member("folder", tarfile.DIRTYPE),
    ],
    ids=lambda info: f"{info.name} {info.type!r}",
)
def test_what_packing_never_writes_is_refused(tmp_path: Path, evil: tarfile.TarInfo) -> None:
    tar = tar_of(tmp_path, evil)
    with pytest.raises(PackError):
        unpack(tar, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar", "out"]
    assert not list((tmp_path / "out").iterdir())


def test_limits_hold_before_a_byte_too_many_is_written(tmp_path: Path) -> None:
    tar = tar_of(tmp_path, member("a", size=600), member("b", size=600))
    with pytest.raises(PackError, match="more than 10 files or 1000 bytes"):
        unpack(tar, tmp_path / "bytes", UnpackLimits(bytes=1000, files=10))
    assert not (tmp_path / "bytes" / "b").exists()
    with pytest.raises(PackError, match="more than 1 files"):
        unpack(tar, tmp_path / "files", UnpackLimits(files=1))


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError):
        unpack(tar_of(tmp_path, member("a"), member("a")), tmp_path / "out")


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.tar").write_bytes(b"not a tar at all" * 100)
    with pytest.raises(PackError, match=r"model\.tar"):
        unpack(tmp_path / "model.tar", tmp_path / "out")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.tar").write_bytes(packed([entry("a", b"x" * 5000)])[:2000])
    with pytest.raises(PackError):
        unpack(tmp_path / "model.tar", tmp_path / "out")


def test_nothing_is_unpacked_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    (tmp_path / "model.tar").write_bytes(packed([entry("a")]))
    with pytest.raises(PackError, match="is not empty"):
        unpack(tmp_path / "model.tar", tmp_path / "out")
