"""What git's messages become: each says what to do, and whether trying again helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.sources.git.address import parse_address
from reconciler.sources.git.command import GitFailed
from reconciler.sources.git.errors import blames_remote, explain

FOLDER = Path("/data/cache/git/x")
HTTPS = parse_address("https://git.example.org/x")
SSH = parse_address("git@git.example.org:x")


@pytest.mark.parametrize(
    ("stderr", "summary", "retryable"),
    [
        ("fatal: Authentication failed for 'https://git.example.org/x'", "Access to the repository was refused", False),
        (
            "fatal: could not read Username for 'https://git.example.org': terminal prompts disabled",
            "Access to the repository was refused",
            False,
        ),
        ("git@host: Permission denied (publickey).", "Access to the repository was refused", False),
        ("Host key verification failed.", "The server's SSH key is not known", False),
        (
            "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none",
            "The server's certificate is not trusted",
            False,
        ),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "The server can't be reached", True),
        ("ssh: connect to host x port 22: Connection refused", "The server can't be reached", True),
        (
            "error: RPC failed; curl 56 GnuTLS recv error\nfetch-pack: unexpected disconnect\nfatal: early EOF",
            "The server can't be reached",
            True,
        ),
        ("fatal: unable to access: The requested URL returned error: 503", "The server can't be reached", True),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", "No such repository", False),
        ("fatal: remote error: upload-pack: not our ref 0123", "The server does not give that commit", False),
        ("fatal: write error: No space left on device", "The disk is full", False),
        (
            "fatal: mismatched algorithms: client sha1; server sha256",
            "The repository has another object format",
            False,
        ),
        ("fatal: unknown hash algorithm 'sha256'", "The repository has another object format", False),
        ("error: cannot open '/cache/x': Permission denied", "Access to a file was refused", False),
    ],
)
def test_a_message_of_git_says_what_to_do(stderr: str, summary: str, retryable: bool) -> None:
    error = explain(GitFailed(stderr), HTTPS, FOLDER)
    assert (error.summary, error.retryable) == (summary, retryable)
    assert error.detail.startswith("https://git.example.org/x: ")
    assert "git: " in error.detail
    assert blames_remote(GitFailed(stderr))


def test_how_to_log_in_hangs_on_the_transport() -> None:
    refused = GitFailed("Permission denied (publickey).")
    assert "ssh-agent" in explain(refused, SSH, FOLDER).detail
    assert "KUBESERVE_GIT_TOKEN" in explain(refused, HTTPS, FOLDER).detail


def test_a_time_limit_is_tried_again() -> None:
    error = explain(GitFailed("", timed_out=True), HTTPS, FOLDER)
    assert (error.summary, error.retryable) == ("Git took too long", True)


@pytest.mark.parametrize(
    "stderr",
    [
        "error: object file ./objects/ab/cd is empty\nfatal: loose object abcd is corrupt",
        "fatal: Unable to create '/cache/mirror.git/shallow.lock': File exists.",
        "fatal: bad config line 1 in file /cache/mirror.git/config",
        "fatal: not a git repository: '/cache/mirror.git'",
        "error: refs/kubeserve/0: does not point to a valid object",
        "something that no one has seen before",
    ],
)
def test_what_is_not_the_server_s_fault_is_blamed_on_the_mirror(stderr: str) -> None:
    assert not blames_remote(GitFailed(stderr))
    assert explain(GitFailed(stderr), HTTPS, FOLDER).retryable


def test_no_more_than_the_last_lines_are_quoted_and_advice_for_others_is_left_out() -> None:
    noise = "Please make sure you have the correct access rights\nand the repository exists."
    error = explain(
        GitFailed("\n".join(f"line {n}" for n in range(50)) + "\nfatal: early EOF\n" + noise), HTTPS, FOLDER
    )
    assert error.detail.splitlines()[1:] == ["git: line 48", "git: line 49", "git: fatal: early EOF"]


def test_a_full_disk_is_named_by_its_folder() -> None:
    error = explain(GitFailed("fatal: write error: No space left on device"), HTTPS, FOLDER)
    assert "Make room for '/data/cache/git/x'" in error.detail
