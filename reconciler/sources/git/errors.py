"""Explains git's messages: what happened, and how to fix it.

In: a GitFailed. Out: a SourceError, and whether the server or our mirror is at fault. Called by `mirror.py`
and `lfs.py`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from reconciler.sources.git import credentials
from reconciler.sources.git.address import Address, GitTransport
from reconciler.sources.git.command import GitFailed
from reconciler.sources.git.configuration import SSH_KEY, SSH_KNOWN_HOSTS
from reconciler.sources.paths import shown
from reconciler.sources.protocol import SourceError
from specs.untrusted import Untrusted

_QUOTED_LINES = 3
_QUOTED_LENGTH = 300  # characters of one line
_NOISE = re.compile(
    r"Please make sure you have the correct access rights|and the repository exists\.|^hint:|^Cloning|^From |^\s*\* ",
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    pattern: re.Pattern[str]
    summary: str
    fix: str
    retryable: bool = False


def _meaning(pattern: str, summary: str, fix: str, *, retryable: bool = False) -> _Meaning:
    return _Meaning(re.compile(pattern, re.I), summary, fix, retryable)


_WITH_CREDENTIALS = {
    GitTransport.SSH: f"Load a key that the server knows into ssh-agent, or name its file in {SSH_KEY}.",
    GitTransport.FILE: "Check the permissions of the repository.",
}
_OVER_HTTPS = (
    f"Provide {credentials.TOKEN}, or {credentials.USERNAME} and {credentials.PASSWORD}, or a file in "
    f"{credentials.FILE}, that may read the repository."
)

# The first pattern that matches decides.
_MEANINGS = (
    _meaning(
        r"No space left on device|disk quota exceeded",
        "The disk is full",
        "Make room for {folder}, where its mirror is kept.",
    ),
    _meaning(
        r"dubious ownership", "The repository belongs to another user", "Let its owner run the command, or copy it."
    ),
    _meaning(
        r"host key verification failed|no matching host key",
        "The server's SSH key is not known",
        f"Add the server to ~/.ssh/known_hosts once it is verified, or name a file that has it in {SSH_KNOWN_HOSTS}.",
    ),
    _meaning(
        r"certificate|SSL peer",
        "The server's certificate is not trusted",
        "If it is issued by your own authority, name a file with its certificate in SSL_CERT_FILE.",
    ),
    _meaning(
        r"authentication failed|could not read (username|password)|terminal prompts disabled|access denied"
        r"|permission denied \(|requested URL returned error: 40[13]|invalid credentials|not authorized|unauthorized",
        "Access to the repository was refused",
        "{credentials}",
    ),
    _meaning(r"permission denied|read-only file system", "Access to a file was refused", "Check its permissions."),
    _meaning(
        r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref",
        "The server does not give that commit",
        "It does not exist, or this server gives only branches and tags. Name a branch or tag that has it.",
    ),
    _meaning(
        r"repository .*not found|does not appear to be a git repository|returned error: 404|not found: did you run"
        r"|not valid: is this a git repository|project you were looking for could not",
        "No such repository",
        "Check its URL, and that the credentials in use may see it: many servers hide what one may not read.",
    ),
    _meaning(
        r"could not resolve|name or service not known|temporary failure in name|failed to connect|couldn't connect"
        r"|connection (refused|reset|timed out|closed)|timed out|unreachable|no route to host|early EOF|hung up"
        r"|unexpected disconnect|transfer closed|RPC failed|returned error: (429|5\d\d)|too slow|gnutls|ssl_|curl \d+",
        "The server can't be reached",
        "Check the network and the host's name. It is tried again.",
        retryable=True,
    ),
    _meaning(r"transport '.*' not allowed", "A transport that is not allowed", "The server leads elsewhere."),
    _meaning(
        r"mismatched algorithms|(unknown|unsupported) hash algorithm|unknown object format",
        "The repository has another object format",
        "Its ids have 64 digits (SHA-256) or 40 (SHA-1): name a commit by all digits that it has there. Git 2.29 or "
        "later reads both.",
    ),
    _meaning(
        r"could not read from remote repository|remote error|protocol error|bad line length",
        "The server did not give the repository",
        "Try `git ls-remote` with the same URL.",
    ),
)


def explain(failure: GitFailed, address: Address, folder: Path) -> SourceError:
    """The error to show to the user. `folder`: where the mirror is kept."""
    if failure.timed_out:
        return SourceError("Git took too long", f"{address} did not answer in time. It is tried again.", retryable=True)
    for meaning in _MEANINGS:
        if meaning.pattern.search(failure.stderr):
            credentials = _WITH_CREDENTIALS.get(address.transport, _OVER_HTTPS)
            fix = meaning.fix.format(credentials=credentials, folder=shown(str(folder)))
            return SourceError(meaning.summary, _detail(address, fix, failure.stderr), retryable=meaning.retryable)
    fix = "KubeServe makes its mirror anew when this happens again."
    return SourceError("Git failed", _detail(address, fix, failure.stderr), retryable=True)


def incomplete_clone(address: Address, *, is_partial: bool) -> SourceError:
    """For a local repository that lacks objects of the commit: git doesn't fetch them when another process reads it."""
    kind, option = ("partial", "--refetch --no-filter") if is_partial else ("shallow", "--unshallow")
    command = f"git -C {shlex.quote(address.url)} fetch {option}"
    return SourceError(
        f"The repository is a {kind} clone",
        f"{address} lacks objects of the commit. Run `{command}`, or name the repository that it was cloned from.",
    )


def blames_remote(failure: GitFailed) -> bool:
    """Whether the failure is the server's or the network's, so that a new mirror would not help."""
    return failure.timed_out or any(meaning.pattern.search(failure.stderr) for meaning in _MEANINGS)


def _detail(address: Address, fix: str, stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _NOISE.search(line)]
    quoted = "\n".join(f"git: {Untrusted(line).cut(_QUOTED_LENGTH)}" for line in lines[-_QUOTED_LINES:])
    return f"{address}: {fix}" + (f"\n{quoted}" if quoted else "")
