"""Everything that a command or a service works with: platform, sources, store, target, state.

Built once from a request; each part is opened when it is first used, so that `validate` opens no store.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model.paths import Paths
from reconciler.sources.protocol import Source
from specs.errors import KubeServeError
from specs.loading.loader import load_platform
from specs.models.platform import Platform, TargetKind, default_platform
from specs.names import quoted
from specs.problems import Refusal

if TYPE_CHECKING:
    from reconciler.artifacts.protocol import ArtifactStore
    from reconciler.state.file import StateFile
    from reconciler.targets.protocol import DeploymentTarget

PLATFORM_FILE = "platform.yaml"
MAX_PLATFORM_BYTES = 1 << 20


class WorkspaceError(KubeServeError):
    """What was named on the command line can't be worked with."""

    code = "workspace"


@dataclass(frozen=True, slots=True)
class Request:
    """What a user typed: where the specs are, at which ref, and the operator's file."""

    source: str | None = None  # None: nothing was typed, so the current directory or what platform.yaml names
    ref: str | None = None
    platform: Path | None = None
    progress: Callable[[str], None] | None = None  # called with what is being done, from any thread
    target: TargetKind | None = None  # None: what platform.yaml says
    kubeconfig: Path | None = None  # None: what the environment says
    context: str | None = None  # None: what platform.yaml says, else the kubeconfig's current one

    def open(self) -> Workspace:
        """As `open_workspace`; the workspace is closed at the end of its `with`."""
        return open_workspace(self)


@dataclass(frozen=True)
class Workspace:
    request: Request
    platform: Platform
    paths: Paths
    named: Source | None  # the source that was typed; None: those of platform.yaml
    _opened: ExitStack = field(default_factory=ExitStack)

    def say(self, text: str) -> None:
        """Reports what is being done now."""
        if self.request.progress is not None:
            self.request.progress(text)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        from reconciler.sources.factory import open_source

        if self.named is not None:
            opened: tuple[Source, ...] = (self.named,)
        else:
            progress = self.request.progress
            opened = tuple(
                open_source(spec, self.paths.base, self.paths.cache, progress) for spec in self.platform.sources
            )
        for source in opened:
            self._opened.callback(source.close)
        return opened

    @cached_property
    def store(self) -> ArtifactStore:
        from reconciler.artifacts.factory import open_store

        return open_store(self.platform.artifact_store, self.paths.base)

    @cached_property
    def target(self) -> DeploymentTarget:
        from reconciler.state.home import check_home
        from reconciler.targets.factory import open_target

        check_home(self.paths)
        request = self.request
        target = open_target(self.platform, self.paths, lambda: self.store, request.kubeconfig, request.context)
        self._opened.callback(target.close)
        return target

    @cached_property
    def state_file(self) -> StateFile:
        from reconciler.state.file import StateFile

        state = self.platform.state
        if state.startswith("s3://"):
            raise WorkspaceError(
                "A state in S3 is not built yet", f"platform.yaml says `state: {state}`. Name a path of this machine."
            )
        return StateFile(self.paths.base / state, self.platform.installation, self.platform.target.value)

    def prepare_home(self) -> None:
        """Makes `.kubeserve/`, which Git never sees and nobody else reads. HomeError when that can't be."""
        from reconciler.state.home import prepare_home

        prepare_home(self.paths)

    def prepare_caches(self) -> None:
        """The same for commands that only cache and do without where they can't. HomeError if it isn't ours."""
        from reconciler.state.home import HomeError, check_home

        check_home(self.paths)
        with suppress(HomeError):
            self.prepare_home()

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_workspace(request: Request) -> Workspace:
    """Finds the platform and the sources. WorkspaceError or SpecErrors for what can't be used.

    For a directory at a ref, the specs are the repository's; the platform and all that runs are the directory's own.
    """
    from reconciler.sources.git.address import is_bare_repository

    if request.platform is not None:
        _check_working_directory(request.platform)
        base = request.platform.resolve().parent
        typed = request.source is not None or request.ref is not None
        return _workspace(request, _read_platform(request.platform), base, typed=typed)
    folder = Path(request.source or ".")
    _check_working_directory(folder)
    if folder.is_dir() and not is_bare_repository(folder):
        file = folder / PLATFORM_FILE
        platform = _read_platform(file) if file.is_file() else default_platform()
        return _workspace(request, platform, folder.resolve(), typed=request.ref is not None)
    base = _data_folder(str(folder.resolve()) if folder.exists() else str(request.source))
    return _workspace(request, default_platform(), base, typed=True)


def _check_working_directory(path: Path) -> None:
    if path.is_absolute():
        return
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise WorkspaceError(
            "The working directory is gone",
            "It was deleted or replaced while this shell was in it. Change to a directory that exists; if it was made "
            'again, cd "$PWD".',
        ) from error


def _workspace(request: Request, platform: Platform, base: Path, *, typed: bool) -> Workspace:
    """`typed`: the one source that was typed is read, whatever those of platform.yaml are."""
    paths = Paths(base)
    named = _typed_source(request, paths.cache) if typed else None
    if request.target is not None and request.target is not platform.target:
        try:
            platform = platform.for_target(request.target)
        except Refusal as refusal:
            raise WorkspaceError(refusal.summary, refusal.detail) from refusal
    return Workspace(request, platform, paths, named)


def _typed_source(request: Request, cache: Path) -> Source:
    from reconciler.sources.factory import source_from_argument

    text = request.source or "."
    if Path(text).is_file():
        raise WorkspaceError("Not a directory", f"{quoted(text)} is a file. Name the directory that it is in.")
    return source_from_argument(text, request.ref, cache, request.progress)


def _read_platform(path: Path) -> Platform:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PLATFORM_BYTES + 1)
    except OSError as error:
        raise WorkspaceError("platform.yaml can't be read", f"{path}: {error.strerror}.") from error
    if len(content) > MAX_PLATFORM_BYTES:
        raise WorkspaceError("platform.yaml is too large", f"{path} has more than {MAX_PLATFORM_BYTES} bytes.")
    return load_platform(str(path), content)


def _data_folder(url: str) -> Path:
    """For a Git URL: a folder of the user's own, the same for the same URL."""
    import hashlib

    from platformdirs import user_data_path

    name = url.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    short = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()[:12]
    return user_data_path("kubeserve") / f"{name or 'source'}-{short}"
