"""Fetching over real HTTP and HTTPS: logins, certificates, redirects, servers that are away or never answer."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from reconciler.sources.git.mirror import GitLimits
from reconciler.sources.git.source import GitAccess, GitSource
from reconciler.sources.protocol import SourceError
from tests.support.network.tls import Authority
from tests.support.sources.git_server import GitServer, serve_git
from tests.support.sources.repositories import Repository

USER, PASSWORD = "robot", 'pa$$w%ord\'s "secret"/@:'
Open = Callable[..., GitSource]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    repository = Repository.create(tmp_path / "served" / "models.git")
    repository.write("kubeserve.yaml", b"tenant: a")
    repository.write("model.joblib", b"model one" * 100_000)
    repository.commit("one")
    return repository


@pytest.fixture
def server(origin: Repository, authority: Authority) -> Iterator[GitServer]:
    with serve_git(origin.path.parent, authority) as running:
        yield running


@pytest.fixture
def open_git(authority: Authority, tmp_path: Path) -> Iterator[Open]:
    opened: list[GitSource] = []

    def open_(url: str, ref: str | None = "main", limits: GitLimits | None = None, **environ: str) -> GitSource:
        access = GitAccess(
            tmp_path / "cache",
            allow_loopback_http=True,
            environ={"SSL_CERT_FILE": str(authority.path), **environ},
            limits=limits or GitLimits(),
        )
        opened.append(GitSource("models", url, ref, access))
        return opened[-1]

    yield open_
    for source in opened:
        source.close()


def read(source: GitSource, path: str) -> bytes:
    with source.artifact(source.resolve(), path).open() as chunks:
        return b"".join(chunks)


def test_a_repository_is_read_over_https(server: GitServer, open_git: Open) -> None:
    source = open_git(f"{server.url}/models.git")
    assert source.location == f"{server.url}/models.git"
    assert read(source, "model.joblib") == b"model one" * 100_000


def test_a_fetch_over_http_is_shallow_and_one_round_trip_when_nothing_is_new(
    server: GitServer, origin: Repository, open_git: Open, tmp_path: Path
) -> None:
    for number in range(3):
        origin.commit(str(number))
    source = open_git(f"{server.url}/models.git")
    newest = source.resolve().id
    (mirror,) = (tmp_path / "cache").glob("*/mirror.git")
    assert Repository(mirror).git("rev-list", "--all") == newest
    server.requests.clear()
    source.resolve()
    assert len(server.requests) <= 2
    assert not any("git-receive-pack" in request for request in server.requests)


def test_a_commit_behind_a_branch_is_fetched_by_its_id(server: GitServer, origin: Repository, open_git: Open) -> None:
    old = origin.git("rev-parse", "HEAD")
    origin.commit("two")
    assert open_git(f"{server.url}/models.git", old).resolve().id == old


def test_an_abbreviated_commit_is_found_when_it_is_the_newest(
    server: GitServer, origin: Repository, open_git: Open
) -> None:
    old = origin.git("rev-parse", "HEAD")
    newest = origin.commit("two")
    assert open_git(f"{server.url}/models.git", newest[:10]).resolve().id == newest
    with pytest.raises(SourceError, match="give all 40 digits"):
        open_git(f"{server.url}/models.git", old[:10]).resolve()


@pytest.mark.parametrize(
    ("username", "environ"),
    [
        (USER, {"KUBESERVE_GIT_USERNAME": USER, "KUBESERVE_GIT_PASSWORD": PASSWORD}),
        (USER, {"KUBESERVE_GIT_USERNAME": USER, "KUBESERVE_GIT_TOKEN": PASSWORD}),
        ("x-access-token", {"KUBESERVE_GIT_TOKEN": PASSWORD}),
    ],
)
def test_a_login_comes_from_the_environment(
    server: GitServer, open_git: Open, username: str, environ: dict[str, str]
) -> None:
    server.login = (username, PASSWORD)
    assert read(open_git(f"{server.url}/models.git", **environ), "kubeserve.yaml") == b"tenant: a"


def test_a_login_comes_from_a_file_with_several_hosts(server: GitServer, open_git: Open, tmp_path: Path) -> None:
    server.login = (USER, "p@ss")
    host = server.url.removeprefix("https://")
    file = tmp_path / "credentials"
    file.write_text(f"https://other:wrong@example.org\n\nhttps://{USER}:p%40ss@{host}\n")
    source = open_git(f"{server.url}/models.git", KUBESERVE_GIT_CREDENTIALS_FILE=str(file), KUBESERVE_GIT_TOKEN="no")
    assert read(source, "kubeserve.yaml") == b"tenant: a"


def test_without_a_login_the_error_says_how_to_give_one(server: GitServer, open_git: Open) -> None:
    server.login = (USER, PASSWORD)
    with pytest.raises(SourceError, match=r"refused(.|\n)*Provide KUBESERVE_GIT_TOKEN") as caught:
        open_git(f"{server.url}/models.git").resolve()
    assert not caught.value.retryable


def test_a_wrong_password_appears_nowhere(server: GitServer, open_git: Open, tmp_path: Path) -> None:
    server.login = (USER, "another")
    source = open_git(f"{server.url}/models.git", KUBESERVE_GIT_USERNAME=USER, KUBESERVE_GIT_PASSWORD="wr0ng-pass")
    with pytest.raises(SourceError, match="Access to the repository was refused") as caught:
        source.resolve()
    assert server.logins[-1] == (USER, "wr0ng-pass")
    assert "wr0ng-pass" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert not caught.value.retryable
    for file in (tmp_path / "cache").rglob("*"):
        assert not file.is_file() or b"wr0ng-pass" not in file.read_bytes()


def test_a_password_is_on_no_command_line(server: GitServer, open_git: Open) -> None:
    server.login = (USER, "s3cret-on-no-line")
    seen: list[str] = []

    class Watching(list[str]):
        def append(self, request: str) -> None:  # while git waits for its answer
            super().append(request)
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # it has just ended
                    seen.append(" ".join(child.cmdline()))

    server.requests = Watching()
    open_git(
        f"{server.url}/models.git",
        KUBESERVE_GIT_TOKEN="x",
        KUBESERVE_GIT_USERNAME=USER,
        **{"KUBESERVE_GIT_PASSWORD": "s3cret-on-no-line"},
    ).resolve()
    assert any("ls-remote" in line for line in seen)
    assert any("fetch" in line for line in seen)
    assert not any("s3cret-on-no-line" in line for line in seen)


def test_a_redirect_elsewhere_takes_no_login_along(
    server: GitServer, origin: Repository, authority: Authority, open_git: Open
) -> None:
    server.login = (USER, PASSWORD)
    with serve_git(origin.path.parent, authority) as other:
        other.login = ("somebody", "else")
        server.redirect_to = other.url
        source = open_git(f"{server.url}/models.git", KUBESERVE_GIT_USERNAME=USER, KUBESERVE_GIT_PASSWORD=PASSWORD)
        with pytest.raises(SourceError, match="refused"):
            source.resolve()
        assert other.requests
        assert other.logins == []


def test_a_redirect_to_an_unencrypted_server_is_not_followed(
    server: GitServer, origin: Repository, open_git: Open
) -> None:
    with serve_git(origin.path.parent) as plain:
        server.redirect_to = plain.url
        with pytest.raises(SourceError):
            open_git(f"{server.url}/models.git").resolve()
        assert plain.requests == []


def test_an_unknown_certificate_is_refused(server: GitServer, open_git: Open) -> None:
    with pytest.raises(SourceError, match=r"certificate is not trusted(.|\n)*SSL_CERT_FILE") as caught:
        open_git(f"{server.url}/models.git", SSL_CERT_FILE="").resolve()
    assert not caught.value.retryable


def test_a_repository_that_is_not_there_is_an_error_that_says_so(server: GitServer, open_git: Open) -> None:
    with pytest.raises(SourceError, match="No such repository") as caught:
        open_git(f"{server.url}/absent.git").resolve()
    assert not caught.value.retryable


def test_a_server_that_is_away_is_tried_again_later(open_git: Open) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/models.git"
        for address in (url, url.replace("http://127.0.0.1", "https://localhost")):
            with pytest.raises(SourceError, match="can't be reached") as caught:
                open_git(address).resolve()
            assert caught.value.retryable


def test_a_host_that_does_not_exist_is_tried_again_later(open_git: Open) -> None:
    with pytest.raises(SourceError, match="can't be reached") as caught:
        open_git("https://host.invalid/models.git").resolve()
    assert caught.value.retryable


def test_a_server_that_never_answers_is_given_up(open_git: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/models.git"
        with pytest.raises(SourceError, match="Git took too long") as caught:
            open_git(url, limits=GitLimits(list_seconds=0.3)).resolve()
    assert caught.value.retryable
    assert git_processes() == []


def test_an_interrupted_fetch_leaves_no_process_behind(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom reconciler.sources.git.source import GitAccess, GitSource\n"
        "GitSource('m', sys.argv[1], None, GitAccess(Path(sys.argv[2]), allow_loopback_http=True)).resolve()\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/models.git"
        command = [sys.executable, "-c", script, url, str(tmp_path)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()  # git is waiting for an answer now
        with connection:
            started = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert started
    assert all(ended(child) for child in started)


def test_progress_is_reported_in_lines(server: GitServer, authority: Authority, tmp_path: Path) -> None:
    lines: list[str] = []
    environ = {"SSL_CERT_FILE": str(authority.path)}
    access = GitAccess(tmp_path / "cache", environ=environ, progress=lines.append)
    source = GitSource("models", f"{server.url}/models.git", "main", access)
    source.resolve()
    source.close()
    assert any(line.startswith("Receiving objects: 100%") for line in lines)
    assert all(line.isprintable() for line in lines)


def test_the_environment_of_the_user_does_not_reach_git(
    server: GitServer, origin: Repository, open_git: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    hostile = tmp_path / "gitconfig"
    hostile.write_text(f'[core]\n\tfsmonitor = {trap}\n\taskPass = {trap}\n[url "file:///"]\n\tinsteadOf = https://\n')
    other = Repository.create(tmp_path / "other")
    for name, value in {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "GIT_DIR": str(other.path / ".git"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "url.file:///.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://",
        "GIT_CONFIG_PARAMETERS": f"'core.sshCommand={trap}'",
        "GIT_ASKPASS": str(trap),
        "SSH_ASKPASS": str(trap),
        "GIT_EXEC_PATH": str(tmp_path),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "objects"),
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_PROXY_COMMAND": str(trap),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".gitconfig").write_bytes(hostile.read_bytes())
    server.login = (USER, PASSWORD)
    with pytest.raises(SourceError, match="refused"):
        open_git(f"{server.url}/models.git").resolve()
    server.login = None
    assert read(open_git(f"{server.url}/models.git"), "kubeserve.yaml") == b"tenant: a"
    assert not {"sprung", "trace", "objects"} & {path.name for path in tmp_path.iterdir()}


def git_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.name().startswith("git")]


def ended(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
