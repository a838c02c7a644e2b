"""The one place that chooses between the kinds of source.

In: an entry of platform.yaml, or what a user typed. Out: a Source, which reads or fetches nothing before `resolve`
is called. Called by `workspace.py`. GitPython is imported only when a repository is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.sources.directory import DirectorySource
from reconciler.sources.git.address import is_bare_repository, is_directory
from reconciler.sources.paths import shown
from reconciler.sources.protocol import Source, SourceError
from specs.models.urls import is_local_git, is_url

if TYPE_CHECKING:
    from reconciler.sources.git.command import Progress
    from specs.models.platform import DirectorySpec, GitSpec

DEFAULT_NAME = "default"
MIRRORS = "git"


def open_source(spec: GitSpec | DirectorySpec, base: Path, cache_dir: Path, progress: Progress | None = None) -> Source:
    """A source of platform.yaml, whose folder is `base`. Mirrors of repositories are kept in `cache_dir`."""
    from specs.models.platform import GitSpec

    if not isinstance(spec, GitSpec):
        return DirectorySource(spec.name, base / spec.path)
    url = str(base / spec.url) if spec.is_local and not is_url(spec.url) else spec.url
    # A platform.yaml with a local repository is only valid if the operator allows local repositories.
    return _git_source(spec.name, url, spec.ref, cache_dir, allow_local=spec.is_local, progress=progress)


def source_from_argument(text: str, ref: str | None, cache_dir: Path, progress: Progress | None = None) -> Source:
    """The source that a user typed. A directory is read as it is; a URL, a bare repository, and a directory with a ref
    as repositories. SourceError for any other text."""
    if ref is None and is_directory(text) and not is_bare_repository(Path(text)):
        return DirectorySource(DEFAULT_NAME, Path(text))
    if not is_git_argument(text):
        raise SourceError("No such directory", f"{shown(text)} is no directory of this machine, and no Git URL.")
    return _git_source(DEFAULT_NAME, text, ref, cache_dir, allow_local=True, progress=progress)


def is_git_argument(text: str) -> bool:
    """Whether the text may mean a repository: a URL, user@host:path, or a directory (a repository if it has a ref)."""
    return is_url(text) or is_directory(text) or not is_local_git(text)


def _git_source(
    name: str, url: str, ref: str | None, cache_dir: Path, *, allow_local: bool, progress: Progress | None
) -> Source:
    from reconciler.sources.git.source import GitAccess, GitSource

    access = GitAccess(cache_dir / MIRRORS, allow_local=allow_local, progress=progress)
    return GitSource(name, url, ref, access)
