"""Which repositories may be fetched from, and which refs may be asked for. Purely lexical, except for local paths.

In: a URL and a ref as a user or platform.yaml wrote them. Out: an Address and a Wanted that git can't
mistake for an option or another transport. Called by `source.py`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.sources.paths import shown
from reconciler.sources.protocol import SourceError
from specs.models.urls import check_git_url, is_local_git, is_url
from specs.names import quoted
from specs.problems import Refusal

MAX_REF = 255
HEAD = "HEAD"

OID = r"(?:[0-9a-f]{64}|[0-9a-f]{40})"
"""An object's id, in a repository of SHA-256 or SHA-1."""

_COMMIT = re.compile(OID)
_ABBREVIATED = re.compile(r"[0-9a-f]{4,63}")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# What git-check-ref-format(1) forbids.
_FORBIDDEN_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(^|/)\.|\.lock(/|$)|^-|^/|/$|\.$|^@$")


class GitTransport(StrEnum):
    """The transports that may be used; for each repository git is allowed only the one in its URL."""

    HTTPS = "https"
    SSH = "ssh"
    FILE = "file"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a repository is. Never holds a credential."""

    url: str  # as passed to git; an absolute path for a local repository
    transport: GitTransport

    @property
    def origin(self) -> str | None:
        """scheme://host[:port], to which credentials belong; None for other transports than HTTP."""
        if self.transport not in (GitTransport.HTTPS, GitTransport.HTTP):
            return None
        return f"{self.transport}://{urlsplit(self.url).netloc.lower()}"

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ref to fetch: `text` as a user wrote it, and the full names that it may mean, best first."""

    text: str
    refs: tuple[str, ...] = ()
    commit: str | None = None

    @property
    def may_be_abbreviated(self) -> bool:
        return _ABBREVIATED.fullmatch(self.text) is not None


def parse_address(text: str, *, allow_local: bool = False, allow_loopback_http: bool = False) -> Address:
    """SourceError for other transports, and for text with a credential or an option, which the error doesn't repeat.

    `allow_loopback_http` is for servers in tests.
    """
    if text.startswith("file://"):
        return _local(text, unquote(urlsplit(text).path), allow_local=allow_local)
    if not is_url(text) and is_directory(text):
        return _local(text, text, allow_local=allow_local)
    if allow_loopback_http and text.startswith("http://"):
        return _loopback(text)
    try:
        check_git_url(text)
    except Refusal as refusal:
        raise SourceError(refusal.summary, refusal.detail) from refusal
    if is_local_git(text):
        return _local(text, text, allow_local=allow_local)
    return Address(text, GitTransport.HTTPS if text.startswith("https://") else GitTransport.SSH)


def parse_ref(text: str | None) -> Wanted:
    """None means the repository's default branch. SourceError for text that can't be a branch, tag or commit."""
    if text is None or text == HEAD:
        return Wanted(HEAD, (HEAD,))
    if len(text) > MAX_REF or not text or _FORBIDDEN_IN_REF.search(text):
        raise SourceError(
            "Not a branch, tag or commit",
            f"{quoted(text)} can't be the name of one. Write it as `git branch` and `git tag` show it, or all 40 (or "
            "64) hex digits of a commit.",
        )
    if _COMMIT.fullmatch(text.lower()):
        return Wanted(text.lower(), commit=text.lower())
    if text.startswith("refs/"):
        return Wanted(text, (text,))
    return Wanted(text, (f"refs/heads/{text}", f"refs/tags/{text}"))


def _local(text: str, path: str, *, allow_local: bool) -> Address:
    if not allow_local:
        raise SourceError(
            "A local path as repository",
            f"{shown(text)} is a path of this machine, which is not allowed here. Give an https:// or ssh:// URL.",
        )
    if not is_directory(path):
        raise SourceError("No such repository", f"{shown(text)} is not a directory.")
    folder = Path(os.path.realpath(path))
    if not is_repository(folder):
        top = next((parent for parent in folder.parents if is_repository(parent)), None)
        fix = f"It is inside one: name {shown(str(top))}." if top else "Name the top of one, or a URL."
        raise SourceError("Not a Git repository", f"{shown(text)} is not the top of a repository. {fix}")
    return Address(str(folder), GitTransport.FILE)


def is_directory(text: str) -> bool:
    """Whether a text is the path of a directory; never raises."""
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):  # too long, unreadable, with a NUL
        return False


def is_repository(folder: Path) -> bool:
    """Whether a directory is the top of a working tree, or a bare repository."""
    return (folder / ".git").exists() or is_bare_repository(folder)


def is_bare_repository(folder: Path) -> bool:
    """Whether a directory has no files to read, but a repository's insides."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _loopback(text: str) -> Address:
    url = urlsplit(text)
    if url.hostname not in _LOOPBACK or url.username is not None:
        raise SourceError("Unsupported kind of Git URL", "http:// is for servers on this machine only.")
    return Address(text, GitTransport.HTTP)
