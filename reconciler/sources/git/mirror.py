"""The bare mirror of one repository: creates it, fetches into it, tidies it, and creates it again if it is broken.

In: an address and the ref to fetch. Out: a commit whose objects are all in the mirror. Several processes may use
one mirror; a file lock lets one of them write. Called by `source.py`.

    {cache}/{host and path}-{hash}/   lock, gitconfig-{hash}, mirror.git/, heads.json
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.sources.git.address import HEAD, OID, Address, GitTransport, Wanted
from reconciler.sources.git.command import Git, GitFailed, GitOptions, Progress
from reconciler.sources.git.configuration import git_config, git_variables
from reconciler.sources.git.credentials import Credentials
from reconciler.sources.git.errors import blames_remote, explain, incomplete_clone
from reconciler.sources.git.objects import Listing, read_listing
from reconciler.sources.protocol import SourceError
from specs.names import listing, nearest, quoted

MAX_PACKS = 50
"""The mirror is repacked when it has more packs than this; each fetch of new objects adds one."""

KEPT_SECONDS = 86_400
"""How long unreachable objects are kept, for a round in another process that may still read them."""

_CONDEMNED = "condemned"
_INCOMPLETE = re.compile(r"repository corruption|bad pack header|not our ref|missing|promisor", re.I)
_OID = re.compile(OID)
_FORMATS = {40: "sha1", 64: "sha256"}
"""Git's object formats by the length of their object ids."""


@dataclass(frozen=True, slots=True)
class GitLimits:
    """Seconds that git may take over the network."""

    list_seconds: float = 60.0
    fetch_seconds: float = 1800.0
    lfs_seconds: float = 1800.0  # for one file

    @property
    def lock_seconds(self) -> float:
        """How long to wait for another process that fetches."""
        return self.list_seconds + self.fetch_seconds


@dataclass(frozen=True, slots=True)
class _Tip:
    oid: str  # the object as the server lists it: a commit, or an annotated tag
    peeled: str
    kind: str  # of the object that the tag points at


class Mirror:
    def __init__(
        self,
        address: Address,
        cache: Path,
        credentials: Credentials | None,
        environ: Mapping[str, str],
        limits: GitLimits,
        progress: Progress | None,
    ) -> None:
        self.address = address
        self.folder = cache / _folder_name(address)
        self.git_dir = self.folder / "mirror.git"
        self.limits = limits
        self._progress = progress
        self._config = git_config(address, environ, has_credentials=credentials is not None)
        # Named by its content: processes with other environments may use the mirror at the same time.
        config = self.folder / f"gitconfig-{hashlib.sha256(_bytes(self._config)).hexdigest()[:12]}"
        self._config_path = config
        secrets = credentials.secrets if credentials else ()
        # Reading the mirror needs no credentials; only what talks to the server is given them.
        self.git = Git(self.git_dir, git_variables(address, config, None, environ), secrets)
        self.remote_git = Git(self.git_dir, git_variables(address, config, credentials, environ), secrets)

    def update(self, wanted: Wanted, known: Listing | None) -> Listing:
        """The files of the newest commit of a ref, after all its objects were fetched into the mirror.

        Returns `known` if it is still the newest. SourceError if the commit can't be fetched.
        """
        with self._lock():
            for attempt in (1, 2):
                try:
                    self._ensure()
                    return self._update(wanted, known)
                except GitFailed as failure:
                    if blames_remote(failure) or attempt == 2:
                        raise self._explained(failure) from failure
                    self._discard()
            raise AssertionError("unreachable")

    def condemn(self) -> None:
        """Marks the mirror as broken, because an object could not be read; the next update creates it again."""
        with contextlib.suppress(OSError):
            (self.folder / _CONDEMNED).touch()

    def _explained(self, failure: GitFailed) -> SourceError:
        if self.address.transport is GitTransport.FILE and _INCOMPLETE.search(failure.stderr):
            for git_dir in self._local_git_dirs():
                with contextlib.suppress(GitFailed):
                    promisors = ("config", "--local", "--get-regexp", r"^remote\..*\.promisor$")
                    self.git.run(*promisors, options=GitOptions(git_dir=git_dir))
                    return incomplete_clone(self.address, is_partial=True)
                if (git_dir / "shallow").is_file():
                    return incomplete_clone(self.address, is_partial=False)
        return explain(failure, self.address, self.folder)

    def _local_git_dirs(self) -> tuple[Path, Path]:
        """The paths at which a local repository may have its Git folder."""
        return Path(self.address.url, ".git"), Path(self.address.url)

    def _update(self, wanted: Wanted, known: Listing | None) -> Listing:
        ours = f"refs/kubeserve/{hashlib.sha256(_bytes(wanted.text)).hexdigest()[:16]}"
        have = self._tip(ours)
        theirs, oid = (wanted.commit, wanted.commit) if wanted.commit else self._look_up(wanted)
        if have is None or oid != have.oid:
            self._use_format(_FORMATS[len(oid)])
            self._fetch(theirs, ours)
            have = self._tip(ours)
        if have is None:
            raise GitFailed(f"git fetch ended well and {ours} is not there")
        if have.kind != "commit":
            raise SourceError("Not a commit", f"{quoted(wanted.text)} of {self.address} names a {have.kind}.")
        return known if known and known.commit == have.peeled else read_listing(self.git, have.peeled)

    def _tip(self, ref: str) -> _Tip | None:
        """The object of one of our refs, if the mirror has it."""
        names = f"{ref}\n{ref}^{{}}\n".encode()
        lines = self.git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", data=names).decode().splitlines()
        if len(lines) != 2 or any(line.endswith(" missing") for line in lines):
            return None
        return _Tip(lines[0].split()[0], *lines[1].split())

    def _look_up(self, wanted: Wanted) -> tuple[str, str]:
        """The ref's name on the server, and its current object there."""
        refs = self._list(*wanted.refs)
        for name in wanted.refs:
            if name in refs:
                return name, refs[name]
        tips = self._list_tips()
        if wanted.may_be_abbreviated and (commit := self._expanded(wanted.text, tips)):
            return commit, commit
        raise _no_such_ref(wanted, self.address, tips)

    def _list(self, *patterns: str) -> dict[str, str]:
        options = GitOptions(seconds=self.limits.list_seconds)
        output = self.remote_git.run(
            "ls-remote", "--quiet", "--end-of-options", self.address.url, *patterns, options=options
        )
        rows = (line.split("\t", 1) for line in output.decode(errors="surrogateescape").split("\n") if "\t" in line)
        return {name: oid for oid, name in rows if _OID.fullmatch(oid)}

    def _list_tips(self) -> dict[str, str]:
        """Every branch and tag, for suggestions; empty if there are too many to suggest from."""
        try:
            return self._list("refs/heads/*", "refs/tags/*")
        except GitFailed:
            return {}

    def _expanded(self, abbreviated: str, tips: Mapping[str, str]) -> str | None:
        """The full id of an abbreviated commit, if the repository is local or the commit is a branch or tag."""
        if self.address.transport is GitTransport.FILE:
            return self._expanded_locally(abbreviated)
        found = {oid for oid in tips.values() if oid.startswith(abbreviated)}
        return found.pop() if len(found) == 1 else None

    def _expanded_locally(self, abbreviated: str) -> str | None:
        name = f"{abbreviated}^{{commit}}"
        for git_dir in self._local_git_dirs():
            with contextlib.suppress(GitFailed):
                output = self.git.run(
                    *("rev-parse", "--verify", "--quiet", "--end-of-options", name), options=GitOptions(git_dir=git_dir)
                )
                return output.decode().strip()
        return None

    def _fetch(self, theirs: str, ours: str) -> None:
        options = GitOptions(seconds=self.limits.fetch_seconds, progress=self._progress)
        self.remote_git.run(
            "fetch",
            *("--depth=1", "--force", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
            *("--progress", "--end-of-options", self.address.url, f"+{theirs}:{ours}"),
            options=options,
        )
        with contextlib.suppress(GitFailed, OSError):
            self._tidy()

    def _tidy(self) -> None:
        """Repacks and prunes, so that a mirror doesn't grow for ever."""
        old = time.time() - KEPT_SECONDS
        for file in (self.git_dir / "lfs").rglob("*"):
            if file.is_file() and file.stat().st_mtime < old:
                file.unlink()
        if sum(1 for _ in (self.git_dir / "objects" / "pack").glob("*.pack")) > MAX_PACKS:
            self.git.run("gc", "--quiet", f"--prune={KEPT_SECONDS}.seconds.ago")

    def _ensure(self) -> None:
        """Creates the mirror unless it looks complete. The caller must hold the lock."""
        for leftover in (*self.folder.glob("new-*"), *self.folder.glob("old-*"), *self.folder.glob("refused-*")):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        self._write_config()
        if (self.folder / _CONDEMNED).exists() or not (self.git_dir / "HEAD").is_file():
            self._discard()
        if not self.git_dir.exists():
            self._create()

    def _write_config(self) -> None:
        path = self._config_path
        if not path.is_file() or path.read_bytes() != _bytes(self._config):
            new = path.with_name(f"new-{path.name}")
            new.write_bytes(_bytes(self._config))
            new.replace(path)

    def _use_format(self, wanted: str) -> None:
        """Git fetches only into a mirror of the repository's own object format."""
        if self.git.run("rev-parse", "--show-object-format").decode().strip() != wanted:
            self._discard()
            self._create(wanted)

    def _create(self, object_format: str = "sha1") -> None:
        new = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        self.git.run(
            *("init", "--bare", "--quiet", "--template=", f"--object-format={object_format}"),
            options=GitOptions(git_dir=new),
        )
        new.rename(self.git_dir)

    def _discard(self) -> None:
        if self.git_dir.exists():
            old = Path(tempfile.mkdtemp(prefix="old-", dir=self.folder))
            self.git_dir.rename(old / self.git_dir.name)
            shutil.rmtree(old, ignore_errors=True)
        (self.folder / _CONDEMNED).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(self.folder / "lock", timeout=self.limits.lock_seconds):
                yield
        except Timeout:
            raise SourceError(
                "Another process is fetching",
                f"{self.address}: it has held {self.folder / 'lock'} for very long.",
                retryable=True,
            ) from None
        except OSError as error:
            raise SourceError(
                "Can't write the Git cache", f"{self.folder}: {error.strerror}. Make room, or check its permissions."
            ) from error


def _no_such_ref(wanted: Wanted, address: Address, tips: Mapping[str, str]) -> SourceError:
    names = [name.removeprefix("refs/heads/").removeprefix("refs/tags/") for name in tips]
    if not names:
        return SourceError(
            "The repository is empty", f"{address} has no branch yet. Push a commit to it.", retryable=True
        )
    if wanted.text == HEAD:
        fix = f"Name one with --ref or `ref:`. It has {listing(map(quoted, names))}."
        return SourceError("No default branch", f"{address} has none that exists. {fix}")
    near = nearest(wanted.text, names)
    hint = f"Did you mean {quoted(near)}?" if near else f"It has {listing(map(quoted, names))}."
    if wanted.may_be_abbreviated:
        digits = len(next(iter(tips.values())))
        command = f"`git rev-parse {wanted.text}`"
        hint += f" Servers don't know abbreviated commits: give all {digits} digits, as {command} prints."
    return SourceError("No such branch, tag or commit", f"{address} has no {quoted(wanted.text)}. {hint}")


def _folder_name(address: Address) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", address.url.partition("://")[2] or address.url).strip("-")
    return f"{words[-40:].strip('-')}-{hashlib.sha256(_bytes(address.url)).hexdigest()[:16]}"


def _bytes(text: str) -> bytes:
    """Encodes a local path or name, which needn't be UTF-8."""
    return text.encode(errors="surrogateescape")
