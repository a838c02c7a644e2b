"""A directory as a source: what a contract test that also runs on Git can't show."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from reconciler.sources import safe_open, walk, worktree
from reconciler.sources.digests import DigestCache, artifact_sha256
from reconciler.sources.directory import DirectorySource
from reconciler.sources.protocol import CHUNK, Revision, SourceArtifact, SourceError

LATER = 3_600 * 10**9  # nanoseconds; a clock that is so much ahead finds every file settled


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def later() -> int:
    return time.time_ns() + LATER


def source(root: Path) -> DirectorySource:
    return DirectorySource("here", root, clock=later)


def artifact(root: Path, path: str) -> SourceArtifact:
    opened = source(root)
    return opened.artifact(opened.resolve(), path)


def content(found: SourceArtifact) -> bytes:
    with found.open() as chunks:
        return b"".join(chunks)


def test_a_revision_changes_with_the_specs_and_with_nothing_else(root: Path) -> None:
    (root / "kubeserve.yaml").write_text("tenant: a")
    first = source(root).resolve()
    (root / "model.joblib").write_bytes(b"model")
    assert source(root).resolve() == first
    (root / "kubeserve.yaml").write_text("tenant: b")
    assert source(root).resolve().id != first.id


def test_moving_a_spec_changes_the_revision(root: Path) -> None:
    (root / "kubeserve.yaml").write_text("tenant: a")
    first = source(root).resolve()
    (root / "team").mkdir()
    (root / "kubeserve.yaml").rename(root / "team" / "kubeserve.yaml")
    assert source(root).resolve().id != first.id


def test_specs_of_an_older_revision_are_not_made_up(root: Path) -> None:
    opened = source(root)
    first = opened.resolve()
    (root / "kubeserve.yaml").write_text("tenant: a")
    opened.resolve()
    with pytest.raises(SourceError, match="no longer at") as caught:
        opened.spec_files(first)
    assert caught.value.retryable


def test_specs_are_those_that_were_resolved_whatever_is_written_since(root: Path) -> None:
    (root / "kubeserve.yaml").write_bytes(b"tenant: a")
    opened = source(root)
    revision = opened.resolve()
    (root / "kubeserve.yaml").write_bytes(b"tenant: b")
    assert [spec.content for spec in opened.spec_files(revision)] == [b"tenant: a"]


@pytest.mark.parametrize("folder", [".git", ".kubeserve", "node_modules", "a/__pycache__"])
def test_specs_are_not_looked_for_in_tools_folders(root: Path, folder: str) -> None:
    (root / folder).mkdir(parents=True)
    (root / folder / "kubeserve.yaml").write_text("tenant: a")
    opened = source(root)
    assert opened.spec_files(opened.resolve()) == []


def test_another_working_tree_in_a_hidden_folder_is_nobodys(root: Path) -> None:
    (root / ".worktrees" / "fix").mkdir(parents=True)
    (root / ".worktrees" / "fix" / ".git").write_text("gitdir: elsewhere")
    (root / ".worktrees" / "fix" / "kubeserve.yaml").write_text("tenant: a")
    opened = source(root)
    assert opened.spec_files(opened.resolve()) == []


def unread(root: Path) -> dict[str, str]:
    opened = source(root)
    return {file.path: file.unread.detail for file in opened.spec_files(opened.resolve()) if file.unread}


def test_a_submodule_that_is_not_checked_out_is_a_place_that_is_not_read(root: Path) -> None:
    (root / ".gitmodules").write_text('[submodule "s"]\n\tpath = libs/s\n[submodule "t"]\n\tpath = libs/t\n')
    (root / "libs" / "s").mkdir(parents=True)
    (root / "libs" / "t").mkdir()
    (root / "libs" / "t" / "kubeserve.yaml").write_text("tenant: a")
    (place,) = unread(root).items()
    assert place[0] == "libs/s"
    assert "git submodule update --init" in place[1]


def test_the_path_to_the_root_may_be_a_symlink(root: Path, tmp_path: Path) -> None:
    (root / "kubeserve.yaml").write_text("tenant: a")
    (tmp_path / "link").symlink_to(root)
    opened = source(tmp_path / "link")
    assert [spec.path for spec in opened.spec_files(opened.resolve())] == ["kubeserve.yaml"]
    assert opened.location == str(root)


def test_a_root_that_is_not_there_or_no_directory_is_an_error(root: Path) -> None:
    (root / "file").touch()
    for path in (root / "absent", root / "file"):
        with pytest.raises(SourceError, match="is not a directory"):
            source(path).resolve()


def test_a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> list[str]:  # permissions would not stop a test that runs as root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(SourceError, match=r"Permission denied\. Check its permissions"):
        source(root).resolve()


def test_a_folder_that_cannot_be_looked_into_is_a_place_that_is_not_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").mkdir()
    (root / "a" / "kubeserve.yaml").write_text("tenant: a")
    (root / "locked").mkdir()
    (root / ".locked").mkdir()
    (root / "b.kubeserve").mkdir()
    open_ = os.open

    def refuse(path: str, flags: int, *, dir_fd: int | None = None) -> int:  # permissions would not stop root
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    opened = source(root)
    assert [file.path for file in opened.spec_files(opened.resolve())] == ["a/kubeserve.yaml", "locked"]
    assert "Permission denied" in unread(root)["locked"]


def test_a_spec_that_cannot_be_read_is_refused_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (root / name).mkdir()
        (root / name / "kubeserve.yaml").write_text("tenant: a")
    read = os.read

    def fail(descriptor: int, length: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink().parent.name == "b":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", fail)
    (path, detail) = next(iter(unread(root).items()))
    assert path == "b/kubeserve.yaml"
    assert "Input/output error" in detail


def test_a_folder_of_endless_depth_is_a_place_that_is_not_read(root: Path) -> None:
    root.joinpath(*"d" * (safe_open.MAX_DEPTH + 1)).mkdir(parents=True)
    (root / "kubeserve.yaml").write_text("tenant: a")
    places = unread(root)
    assert list(places) == ["/".join("d" * (safe_open.MAX_DEPTH + 1))]
    assert "folders deep" in next(iter(places.values()))


def test_a_pipe_that_is_named_like_a_spec_is_refused(root: Path) -> None:
    os.mkfifo(root / "kubeserve.yaml")
    assert "device, pipe or socket" in unread(root)["kubeserve.yaml"]


def test_a_place_that_is_not_read_any_more_changes_the_revision(root: Path) -> None:
    (root / "a").mkdir()
    before = source(root).resolve().id
    (root / "b").symlink_to("/nowhere")
    assert source(root).resolve().id != before


def test_a_directory_of_endless_size_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_ENTRIES", 9)
    for number in range(10):
        (root / f"{number}").touch()
    with pytest.raises(SourceError, match="more than 9 files"):
        source(root).resolve()


def test_no_descriptor_stays_open(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "predictor.py").write_text("x = 1")
    (root / "a" / "model.joblib").write_bytes(b"x")
    opened = source(root)
    before = set(Path("/proc/self/fd").iterdir())
    revision = opened.resolve()
    content(opened.artifact(revision, "a/model.joblib"))
    content(opened.artifact(revision, "a"))
    for path in ("a/absent", "a/model.joblib/x", "absent/x"):
        with pytest.raises(SourceError):
            opened.artifact(revision, path)
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("path", ["pipe", "folder/pipe"])
def test_a_pipe_is_refused_without_waiting_for_its_writer(root: Path, path: str) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / path)
    with pytest.raises(SourceError, match="device, pipe or socket"):
        artifact(root, path)
    if path != "pipe":
        with pytest.raises(SourceError, match="device, pipe or socket"):
            artifact(root, "folder")


def test_a_socket_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        with pytest.raises(SourceError, match="device, pipe or socket"):
            artifact(root, "s")


def test_a_device_is_refused() -> None:
    opened = DirectorySource("dev", Path("/dev"))
    with pytest.raises(SourceError, match="device, pipe or socket"):
        opened.artifact(Revision("sha256:0", "this directory"), "null")


def test_a_file_that_became_a_symlink_after_it_was_found_is_not_followed(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (root / "folder").mkdir()
    (root / "folder" / "model.joblib").write_bytes(b"model!")
    found = artifact(root, "folder/model.joblib")
    (root / "folder" / "model.joblib").unlink()
    (root / "folder" / "model.joblib").symlink_to(secret)
    with pytest.raises(SourceError, match="symlink"):
        content(found)


def test_a_folder_that_became_a_symlink_after_it_was_found_is_not_followed(root: Path, tmp_path: Path) -> None:
    (root / "folder").mkdir()
    (root / "folder" / "model.joblib").write_bytes(b"model!")
    found = artifact(root, "folder/model.joblib")
    shutil.move(root / "folder", tmp_path / "elsewhere")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="'folder' is a symlink"):
        content(found)


def test_a_file_that_changed_since_it_was_found_is_not_read(root: Path) -> None:
    (root / "model.joblib").write_bytes(b"old")
    found = artifact(root, "model.joblib")
    (root / "model.joblib").write_bytes(b"new")
    os.utime(root / "model.joblib", ns=(1, 1))  # nor does a forged time hide it
    with pytest.raises(SourceError, match="somebody wrote to it") as caught:
        content(found)
    assert caught.value.retryable


def test_a_file_that_changes_while_it_is_read_is_an_error_at_its_end(root: Path) -> None:
    path = root / "model.joblib"
    path.write_bytes(bytes(3 * CHUNK))
    os.utime(path, ns=(1, 1))  # a clock's tick may be longer than this test
    found = artifact(root, "model.joblib")
    with found.open() as chunks:
        next(chunks)
        with path.open("r+b") as file:
            file.write(b"x")
        with pytest.raises(SourceError, match="somebody wrote to it") as caught:
            list(chunks)
    assert caught.value.retryable


@pytest.mark.parametrize("change", ["write", "add", "remove", "chmod"])
def test_a_folder_that_changes_while_it_is_read_is_an_error(root: Path, change: str) -> None:
    folder = root / "model"
    folder.mkdir()
    (folder / "a.bin").write_bytes(bytes(CHUNK))
    (folder / "predictor.py").write_text("x = 1")
    os.utime(folder / "a.bin", ns=(1, 1))
    found = artifact(root, "model")
    with found.open() as chunks:
        next(chunks)
        next(chunks)
        if change == "write":
            (folder / "a.bin").write_bytes(bytes(CHUNK))
        elif change == "add":
            (folder / "new.py").touch()
        elif change == "remove":
            (folder / "predictor.py").unlink()
        else:
            (folder / "a.bin").chmod(0o755)
        with pytest.raises(SourceError):
            list(chunks)


def test_the_identity_changes_with_every_trace_of_a_change(root: Path) -> None:
    path = root / "model.joblib"
    path.write_bytes(b"old")
    seen = {artifact(root, "model.joblib").identity}
    os.utime(path, ns=(1, 1))
    seen.add(artifact(root, "model.joblib").identity)
    path.write_bytes(b"longer")
    seen.add(artifact(root, "model.joblib").identity)
    path.rename(root / "old")
    path.write_bytes(b"longer")
    seen.add(artifact(root, "model.joblib").identity)
    assert len(seen) == 4
    assert artifact(root, "model.joblib").identity in seen


def test_a_digest_is_not_computed_twice(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "model.joblib").write_bytes(b"model")
    reads = 0
    read = os.read

    def counted(descriptor: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", counted)
    digests = {artifact_sha256(artifact(root, "model.joblib"), DigestCache(tmp_path / "d")) for _ in range(3)}
    assert len(digests) == 1
    assert reads == 2  # the content, and its end


def test_a_file_that_was_written_just_now_is_read_again(root: Path, tmp_path: Path) -> None:
    path = root / "model.joblib"
    path.write_bytes(b"old")
    opened = DirectorySource("here", root, clock=lambda: path.stat().st_ctime_ns + worktree.RACY_NS)
    racy = opened.artifact(opened.resolve(), "model.joblib")
    assert not racy.settled
    opened = DirectorySource("here", root, clock=lambda: path.stat().st_ctime_ns + worktree.RACY_NS + 1)
    assert opened.artifact(opened.resolve(), "model.joblib").settled


def test_a_file_from_the_future_is_never_settled(root: Path) -> None:
    (root / "model.joblib").write_bytes(b"old")
    os.utime(root / "model.joblib", ns=(later() * 2, later() * 2))
    assert not artifact(root, "model.joblib").settled


def test_a_folder_is_as_settled_as_its_newest_file(root: Path) -> None:
    (root / "model").mkdir()
    (root / "model" / "predictor.py").write_text("x = 1")
    assert artifact(root, "model").settled
    os.utime(root / "model" / "predictor.py", ns=(later() * 2, later() * 2))
    assert not artifact(root, "model").settled
