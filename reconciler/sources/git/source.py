"""A Git repository as a source: its newest commit, that commit's specs, and its artifacts.

In: a URL and a ref. Out: as `sources/protocol.py` says. `factory.py` opens it for the first stage of a round.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.sources.git.address import OID, parse_address, parse_ref
from reconciler.sources.git.artifact import git_artifact
from reconciler.sources.git.command import GitFailed, Progress
from reconciler.sources.git.contents import Contents
from reconciler.sources.git.credentials import find_credentials
from reconciler.sources.git.mirror import GitLimits, Mirror
from reconciler.sources.git.objects import Listing, read_listing
from reconciler.sources.git.specs import SpecReader
from reconciler.sources.paths import SourcePath
from reconciler.sources.protocol import Revision, SourceArtifact, SourceError
from specs.loading.loader import SpecFile

_COMMIT = re.compile(OID)


@dataclass(frozen=True, slots=True)
class GitAccess:
    """How repositories are reached, and where their mirrors are kept."""

    cache: Path
    allow_local: bool = False  # allows local paths, besides https:// and ssh://
    allow_loopback_http: bool = False  # for servers in tests
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)  # holds the credentials
    limits: GitLimits = field(default_factory=GitLimits)
    progress: Progress | None = None


class GitSource:
    """Safe for threads once it is resolved."""

    def __init__(self, name: str, url: str, ref: str | None, access: GitAccess) -> None:
        """`ref`: a branch, a tag or a commit; None for the default branch. SourceError for a refused URL or ref."""
        self._name = name
        self._address = parse_address(
            url, allow_local=access.allow_local, allow_loopback_http=access.allow_loopback_http
        )
        self._wanted = parse_ref(ref)
        credentials = find_credentials(self._address.origin, access.environ)
        self._mirror = Mirror(self._address, access.cache, credentials, access.environ, access.limits, access.progress)
        self._contents = Contents(self._mirror)
        self._newest: Listing | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def location(self) -> str:
        return str(self._address)

    def resolve(self) -> Revision:
        """The newest commit of the ref. Asks the server, and fetches the objects that the mirror lacks."""
        self._contents.save()
        self._newest = self._mirror.update(self._wanted, self._newest)
        commit = self._newest.commit
        label = f"commit {commit[:7]}" if self._wanted.commit else f"{self._wanted.text} at {commit[:7]}"
        return Revision(commit, label)

    def spec_files(self, revision: Revision) -> Sequence[SpecFile]:
        return SpecReader(self._listing(revision), self._contents, self._name).read()

    def shown(self, path: str, *, qualified: bool) -> str:
        return f"{self.name}:{path}" if qualified else path

    def artifact(self, revision: Revision, path: str) -> SourceArtifact:
        return git_artifact(self._listing(revision), self._contents, SourcePath.parse(path))

    def close(self) -> None:
        self._contents.close()

    def _listing(self, revision: Revision) -> Listing:
        if self._newest and self._newest.commit == revision.id:
            return self._newest
        try:
            if not _COMMIT.fullmatch(revision.id):
                raise GitFailed(f"{revision.id} is not a commit")
            return read_listing(self._mirror.git, revision.id)
        except GitFailed as failure:
            raise SourceError(
                "The commit is no longer in the mirror",
                f"{self.location}: {revision.label} was replaced by a newer one.",
                retryable=True,
            ) from failure
