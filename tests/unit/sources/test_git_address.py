"""Which repositories and refs may be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.sources.git.address import GitTransport, parse_address, parse_ref
from reconciler.sources.git.configuration import git_config, git_variables
from reconciler.sources.git.credentials import Credentials, find_credentials, scrub
from reconciler.sources.protocol import SourceError


@pytest.mark.parametrize(
    ("text", "transport", "origin"),
    [
        ("https://git.example.org/ml/models.git", GitTransport.HTTPS, "https://git.example.org"),
        ("https://Git.Example.org:8443/x", GitTransport.HTTPS, "https://git.example.org:8443"),
        ("ssh://git@git.example.org:2222/ml/models.git", GitTransport.SSH, None),
        ("git@git.example.org:ml/models.git", GitTransport.SSH, None),
    ],
)
def test_https_and_ssh_are_fetched_from(text: str, transport: GitTransport, origin: str | None) -> None:
    address = parse_address(text)
    assert (address.url, address.transport, address.origin) == (text, transport, origin)


@pytest.mark.parametrize(
    "text",
    [
        "http://git.example.org/x",
        "http://127.0.0.1/x",
        "git://git.example.org/x",
        "ftp://git.example.org/x",
        "ext::sh -c touch% /tmp/x",
        "ext::sh",
        "fd::17",
        "https::https://git.example.org",
        "file:///srv/models.git",
        "/srv/models.git",
        "models",
        "..",
        "--upload-pack=touch /tmp/x",
        "-oProxyCommand=touch",
        "-oProxyCommand=x@host:path",
        "https://git.example.org/a b",
        "https://git.example.org/a\nb",
        "https://",
        "",
        "a\0b",
        "a" * 5000,
    ],
)
def test_every_other_transport_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        parse_address(text)


@pytest.mark.parametrize("text", ["https://robot:hunter2@git.example.org/x", "https://hunter2@git.example.org/x"])
def test_a_credential_in_a_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SourceError, match="Credentials inside a URL") as caught:
        parse_address(text, allow_local=True, allow_loopback_http=True)
    assert "hunter2" not in f"{caught.value!r}{caught.value}{caught.value.__cause__!r}"


def test_a_password_in_an_ssh_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(SourceError, match="Credentials inside a URL") as caught:
        parse_address("ssh://git:hunter2@git.example.org/x")
    assert "hunter2" not in f"{caught.value!r}{caught.value}{caught.value.__cause__!r}"


def test_plain_http_is_for_this_machine_only_and_only_when_asked_for() -> None:
    assert parse_address("http://127.0.0.1:80/x", allow_loopback_http=True).transport is GitTransport.HTTP
    for text in ("http://git.example.org/x", "http://127.0.0.1.example.org/x", "http://u@127.0.0.1/x"):
        with pytest.raises(SourceError):
            parse_address(text, allow_loopback_http=True)


def test_a_local_repository_is_an_absolute_path_where_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for text in ("a b", "./a b", str(tmp_path / "a b"), f"file://{tmp_path}/a%20b"):
        assert parse_address(text, allow_local=True).url == str(tmp_path / "a b")
        with pytest.raises(SourceError):
            parse_address(text)


def test_a_directory_that_is_named_like_an_option_is_one_where_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-rf" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse_address("-rf", allow_local=True).url == str(tmp_path / "-rf")


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    for text in (str(tmp_path), str(tmp_path / "absent")):
        with pytest.raises(SourceError):
            parse_address(text, allow_local=True)


@pytest.mark.parametrize(
    "ref",
    [
        "--upload-pack=x",
        "-b",
        "a b",
        "a..b",
        "a~1",
        "a^",
        "a^{tree}",
        "a:b",
        "main:refs/heads/x",
        "a*",
        "a?",
        "a[b",
        "a\\b",
        "a\nb",
        "a\0b",
        "a@{1}",
        "@",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a.",
        "",
        "x" * 256,
    ],
)
def test_what_git_takes_for_more_than_a_name_is_refused(ref: str) -> None:
    with pytest.raises(SourceError, match="can't be the name of one"):
        parse_ref(ref)


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        (None, ("HEAD",)),
        ("HEAD", ("HEAD",)),
        ("main", ("refs/heads/main", "refs/tags/main")),
        ("release/1.0", ("refs/heads/release/1.0", "refs/tags/release/1.0")),
        ("refs/pull/7/head", ("refs/pull/7/head",)),
        ("deadbeef", ("refs/heads/deadbeef", "refs/tags/deadbeef")),
        ("größe", ("refs/heads/größe", "refs/tags/größe")),
    ],
)
def test_a_ref_stands_for_full_names(ref: str | None, names: tuple[str, ...]) -> None:
    assert parse_ref(ref).refs == names


def test_forty_hex_digits_are_a_commit() -> None:
    assert parse_ref("ABCDEF" + "0" * 34).commit == "abcdef" + "0" * 34


def test_a_login_is_given_to_the_source_s_own_server_only(tmp_path: Path) -> None:
    address = parse_address("https://git.example.org:8443/x")
    config = git_config(address, {}, has_credentials=True)
    assert '[credential "https://git.example.org:8443"]' in config
    assert "[credential]" not in config
    assert "credential" not in git_config(address, {}, has_credentials=False)


def test_only_the_transport_of_the_source_is_allowed() -> None:
    config = git_config(parse_address("https://git.example.org/x"), {}, has_credentials=False)
    assert '[protocol]\n\tallow = "never"\n[protocol "https"]\n\tallow = "always"\n' in config


def test_secrets_are_in_the_environment_of_git_and_not_in_its_configuration(tmp_path: Path) -> None:
    address = parse_address("https://git.example.org/x")
    credentials = Credentials("robot", "hunter2")
    assert "hunter2" not in git_config(address, {}, has_credentials=True)
    assert "hunter2" in git_variables(address, tmp_path, credentials, {}).values()
    assert "hunter2" not in repr(credentials)


def test_ssh_never_asks_and_names_are_quoted_for_its_shell(tmp_path: Path) -> None:
    environ = {"KUBESERVE_GIT_SSH_KEY_FILE": "/keys/a key; touch x", "KUBESERVE_GIT_KNOWN_HOSTS_FILE": "/keys/hosts"}
    command = git_variables(parse_address("git@host:x"), tmp_path, None, environ)["GIT_SSH_COMMAND"]
    assert "-o BatchMode=yes" in command
    assert "-i '/keys/a key; touch x'" in command
    assert "StrictHostKeyChecking=yes" in command


def test_the_file_of_credentials_wins_for_the_hosts_that_it_has(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("# a comment\nhttps://robot:from%20file@git.example.org\nhttps://nobody@other.example.org\n")
    environ = {"KUBESERVE_GIT_CREDENTIALS_FILE": str(file), "KUBESERVE_GIT_TOKEN": "token"}
    assert find_credentials("https://git.example.org", environ) == Credentials("robot", "from file")
    assert find_credentials("https://git.example.org:8443", environ) == Credentials("x-access-token", "token")
    assert find_credentials(None, environ) is None
    assert find_credentials("https://git.example.org", {}) is None


def test_incomplete_or_unusable_credentials_are_an_error_that_does_not_show_them(tmp_path: Path) -> None:
    for environ in (
        {"KUBESERVE_GIT_PASSWORD": "hunter2"},
        {"KUBESERVE_GIT_TOKEN": "hunter2\nhost=evil"},
        {"KUBESERVE_GIT_CREDENTIALS_FILE": str(tmp_path / "absent")},
    ):
        with pytest.raises(SourceError) as caught:
            find_credentials("https://git.example.org", environ)
        assert "hunter2" not in f"{caught.value!r}"


@pytest.mark.parametrize(
    "text", ["pass word", "pass%20word", "https://robot:pass%20word@host/x", "\x1b]0;title\x07pass word\x1b[31m"]
)
def test_what_git_says_is_shown_without_secrets_and_terminal_codes(text: str) -> None:
    shown = scrub(f"fatal: {text}", Credentials("robot", "pass word").secrets)
    assert "pass" not in shown
    assert "\x1b" not in shown
