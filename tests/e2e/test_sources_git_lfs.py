"""Files that Git LFS keeps: resolved by the real git-lfs, verified, and answered with advice where it is not there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.sources.digests import DigestCache, artifact_sha256
from reconciler.sources.directory import DirectorySource
from reconciler.sources.git.source import GitAccess, GitSource
from reconciler.sources.protocol import CHUNK, SourceArtifact, SourceError
from tests.support.network.tls import Authority
from tests.support.sources.git_server import GitServer, serve_git
from tests.support.sources.repositories import Repository

CONTENT = b"model of two chunks" * 2 * (CHUNK // 19)
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Open = Callable[[], GitSource]

needs_lfs = pytest.mark.skipif(
    shutil.which("git-lfs") is None, reason="git-lfs is not on PATH: install it (apt-get install git-lfs)"
)


def pointer(content: bytes, size: int | None = None) -> bytes:
    sha256 = hashlib.sha256(content).hexdigest()
    length = len(content) if size is None else size
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {length}\n".encode()


def keep(origin: Repository, content: bytes, as_content: bytes | None = None) -> None:
    """Puts an object where git-lfs keeps those of a repository, as `git lfs push` does on a server."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = origin.path / ".git" / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if as_content is None else as_content)


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    repository = Repository.create(tmp_path / "origin")
    repository.write("models/v1.joblib", pointer(CONTENT))
    repository.commit()
    keep(repository, CONTENT)
    return repository


def artifact(source: GitSource, path: str = "models/v1.joblib") -> SourceArtifact:
    return source.artifact(source.resolve(), path)


def content(found: SourceArtifact) -> bytes:
    with found.open() as chunks:
        return b"".join(chunks)


@needs_lfs
def test_the_file_behind_a_pointer_is_what_is_read(open_git: Open) -> None:
    found = artifact(open_git())
    assert (found.size, found.sha256) == (len(CONTENT), SHA256)
    assert content(found) == CONTENT
    assert found.head == CONTENT[:512]


@needs_lfs
def test_size_and_digest_need_no_download(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    found = artifact(open_git())
    shutil.rmtree(origin.path / ".git" / "lfs")
    assert found.size == len(CONTENT)
    assert artifact_sha256(found, DigestCache(tmp_path / "digests")) == SHA256


@needs_lfs
def test_the_beginning_is_remembered(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    source = open_git()
    assert artifact(source).head == CONTENT[:512]
    source.close()
    shutil.rmtree(origin.path / ".git" / "lfs")
    shutil.rmtree(next((tmp_path / "cache").glob("*/mirror.git/lfs")))
    assert artifact(open_git()).head == CONTENT[:512]


@needs_lfs
def test_a_pointer_inside_a_folder_is_resolved_too(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    origin.write("folder/predictor.py", b"x = 1")
    origin.write("folder/weights.bin", CONTENT)
    plain = DirectorySource("here", origin.path)
    expected = content(plain.artifact(plain.resolve(), "folder"))
    origin.write("folder/weights.bin", pointer(CONTENT))
    origin.commit()
    found = artifact(open_git(), "folder")
    assert found.size == len(expected)
    assert content(found) == expected


@needs_lfs
@pytest.mark.parametrize("size", [0, 5])
def test_small_files_are_resolved_too(origin: Repository, open_git: Open, size: int) -> None:
    origin.write("small", pointer(bytes(size)))
    origin.commit()
    keep(origin, bytes(size))
    found = artifact(open_git(), "small")
    assert (found.size, found.head, content(found)) == (size, bytes(size), bytes(size))


@needs_lfs
def test_a_file_that_was_never_pushed_is_an_error_that_says_so(origin: Repository, open_git: Open) -> None:
    origin.write("absent", pointer(b"never pushed"))
    origin.commit()
    with pytest.raises(SourceError, match=r"lacks the file(.|\n)*git lfs push --all"):
        content(artifact(open_git(), "absent"))


@needs_lfs
@pytest.mark.parametrize("size", [4, 40 * CHUNK])
def test_a_pointer_with_another_size_is_not_believed(origin: Repository, open_git: Open, size: int) -> None:
    origin.write("wrong", pointer(CONTENT, size))
    origin.commit()
    with pytest.raises(SourceError):
        content(artifact(open_git(), "wrong"))


@needs_lfs
def test_other_bytes_than_those_of_the_pointer_are_refused(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    source = open_git()
    found = artifact(source)
    assert content(found) == CONTENT
    kept = next((tmp_path / "cache").glob(f"*/mirror.git/lfs/objects/*/*/{SHA256}"))
    kept.chmod(0o644)
    kept.write_bytes(bytes(len(CONTENT)))
    with pytest.raises(SourceError, match="Git LFS gave other bytes"):
        content(found)


@needs_lfs
def test_the_repository_can_t_choose_the_server(origin: Repository, open_git: Open) -> None:
    origin.write(".lfsconfig", b"[lfs]\n\turl = http://127.0.0.1:9/evil\n")
    origin.commit()
    assert content(artifact(open_git())) == CONTENT


@needs_lfs
def test_the_configuration_of_the_user_is_left_alone(
    open_git: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_LFS_SKIP_SMUDGE", "1")
    assert content(artifact(open_git())) == CONTENT
    assert not (home / ".gitconfig").exists()


def test_without_git_lfs_the_error_says_what_to_install(
    open_git: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("env", "git", "sh"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    source = open_git()
    revision = source.resolve()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(SourceError, match=r"Install git-lfs(.|\n)*kubeserve push") as caught:
        source.artifact(revision, "models/v1.joblib")
    assert not caught.value.retryable


def test_a_pointer_in_a_working_tree_is_not_taken_for_the_model(origin: Repository) -> None:
    (origin.path / "folder").mkdir()
    (origin.path / "folder" / "weights.bin").write_bytes(pointer(b"x"))
    source = DirectorySource("here", origin.path)
    for path in ("models/v1.joblib", "folder"):
        with pytest.raises(SourceError, match=r"git lfs pull(.|\n)*kubeserve push"):
            source.artifact(source.resolve(), path)


@needs_lfs
@pytest.mark.parametrize(
    "text",
    [
        b"version https://git-lfs.github.com/spec/v1\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"g" * 64 + b"\nsize 5\n",
        b"version https://git-lfs.github.com/spec/v1\noid md5:" + b"0" * 32 + b"\nsize 5\n",
        pointer(b"x").replace(b"size 1", b"size -1"),
        pointer(b"x").replace(b"oid", b"ext-0-x sha256:" + b"0" * 64 + b"\noid"),
    ],
)
def test_a_pointer_that_can_t_be_understood_is_refused(origin: Repository, open_git: Open, text: bytes) -> None:
    origin.write("broken", text)
    origin.commit()
    with pytest.raises(SourceError, match="can't be read"):
        artifact(open_git(), "broken")


@needs_lfs
def test_what_git_lfs_keeps_is_forgotten_in_time(
    origin: Repository, open_git: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_git()
    content(artifact(source))
    kept = next((tmp_path / "cache").glob(f"*/mirror.git/lfs/objects/*/*/{SHA256}"))
    os.utime(kept, (1, 1))
    origin.commit()
    source.resolve()
    assert not kept.exists()


@pytest.fixture
def server(origin: Repository, tmp_path: Path) -> Iterator[GitServer]:
    with serve_git(origin.path.parent, Authority.create(tmp_path / "authority")) as running:
        yield running


@pytest.fixture
def remote(server: GitServer, tmp_path: Path) -> Iterator[GitSource]:
    assert server.authority
    environ = {"SSL_CERT_FILE": str(server.authority.path), "KUBESERVE_GIT_TOKEN": "s3cret"}
    source = GitSource("models", f"{server.url}/origin", "main", GitAccess(tmp_path / "cache", environ=environ))
    yield source
    source.close()


@needs_lfs
def test_a_server_is_asked_with_the_login_of_the_repository(server: GitServer, remote: GitSource) -> None:
    server.login = ("x-access-token", "s3cret")
    server.lfs[SHA256] = CONTENT
    assert content(artifact(remote)) == CONTENT
    assert any(request.endswith("/info/lfs/objects/batch") for request in server.requests)


@needs_lfs
def test_a_server_that_lacks_the_file_is_answered_as_such(server: GitServer, remote: GitSource) -> None:
    with pytest.raises(SourceError, match="Git LFS lacks the file"):
        content(artifact(remote))


@needs_lfs
def test_a_login_that_was_refused_is_not_tried_without_end(
    server: GitServer, remote: GitSource, tmp_path: Path
) -> None:
    found = artifact(remote)
    server.login = ("another", "login")
    for _ in range(2):
        server.logins.clear()
        with pytest.raises(SourceError, match="Access to the repository was refused") as caught:
            content(found)
        assert "s3cret" not in str(caught.value)
        assert server.logins == [("x-access-token", "s3cret")]
    for file in (tmp_path / "cache").rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes()
