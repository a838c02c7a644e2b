"""Everything a command works with, found from what its user typed: platform, sources, store, target, state.

Built by the commands; each part is opened when it is first asked for, so that `validate` opens no store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.plan.guards import Budget
from reconciler.sources.protocol import Source
from reconciler.state.file import StateFile
from specs.errors import KubeServeError
from specs.loader import load_platform
from specs.platform import Platform, Target, default_platform
from specs.problems import Place, Problem

if TYPE_CHECKING:
    from reconciler.artifacts.protocol import ArtifactStore
    from reconciler.targets.local.target import LocalTarget

PLATFORM_FILE = "platform.yaml"
HOME = ".kubeserve"
MAX_PLATFORM_BYTES = 1 << 20


class WorkspaceError(KubeServeError):
    """What was named on the command line can't be worked with."""

    code = "workspace"


@dataclass(frozen=True, slots=True)
class Request:
    """What a user typed: where the specs are, at which ref, and the operator's file."""

    source: str = "."
    ref: str | None = None
    platform: Path | None = None


@dataclass
class Workspace:
    request: Request
    platform: Platform
    base: Path  # the folder that relative paths of platform.yaml start from
    named: Source | None  # the source that was typed; None: those of platform.yaml
    _opened: ExitStack = field(default_factory=ExitStack)

    @property
    def home(self) -> Path:
        """Where this installation keeps what it runs, caches and records, unless platform.yaml says otherwise."""
        return self.base / HOME

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    @property
    def cache_dir(self) -> Path:
        return self.home / "cache"

    @property
    def secrets_dir(self) -> Path:
        return self.home / "secrets"

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        from reconciler.sources.factory import open_source

        if self.named is not None:
            opened: tuple[Source, ...] = (self.named,)
        else:
            opened = tuple(open_source(spec, self.base, self.cache_dir) for spec in self.platform.sources)
        for source in opened:
            self._opened.callback(source.close)
        return opened

    @cached_property
    def store(self) -> ArtifactStore:
        from reconciler.artifacts.factory import open_store

        return open_store(self.platform.artifact_store, self.base)

    @cached_property
    def target(self) -> LocalTarget:
        if self.platform.target is not Target.LOCAL:
            raise WorkspaceError(
                "This target is not built yet",
                f"platform.yaml says `target: {self.platform.target}`; this KubeServe runs models on `local` alone.",
            )
        from reconciler.targets.local.target import LocalTarget

        target = LocalTarget(
            self.run_dir,
            self.platform.installation,
            self.store,
            cache_dir=self.cache_dir,
            secrets_dir=self.secrets_dir,
            host=self.platform.gateway.host,
            port=self.platform.gateway.port,
        )
        self._opened.callback(target.close)
        return target

    @cached_property
    def state_file(self) -> StateFile:
        state = self.platform.state
        if state.startswith("s3://"):
            raise WorkspaceError(
                "A state in S3 is not built yet", f"platform.yaml says `state: {state}`. Name a path of this machine."
            )
        return StateFile(self.base / state, self.platform.installation, self.platform.target.value)

    @property
    def budget(self) -> Budget:
        guards = self.platform.guards
        return Budget(guards.max_deletions, guards.max_deletion_percent)

    def shown(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Problems with their files as the user can open them from where he stands, where that is possible."""
        return tuple(replace(p, place=self._shown(p.place)) if p.place else p for p in problems)

    def _shown(self, place: Place) -> Place:
        for source in self.sources:
            folder = Path(source.location)
            if (folder / place.file).is_file():
                return replace(place, file=os.path.relpath(folder / place.file))
        return place

    def prepare_home(self) -> None:
        """Makes `.kubeserve/`, which Git never sees and nobody else reads."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = self.home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_workspace(request: Request) -> Workspace:
    """Finds the platform and the sources. WorkspaceError or SpecErrors for what can't be used."""
    if request.platform is not None:
        platform = _read_platform(request.platform)
        return Workspace(request, platform, request.platform.resolve().parent, _typed(request, platform))
    folder = Path(request.source)
    if request.ref is None and folder.is_dir():
        return _of_folder(request, folder)
    from reconciler.sources.factory import is_git_argument, source_from_argument

    if not is_git_argument(request.source):
        raise WorkspaceError(
            "No such directory", f"'{request.source}' is neither a directory of this machine nor a Git URL."
        )
    home = _data_folder(request.source)
    source = source_from_argument(request.source, request.ref, home / HOME / "cache")
    return Workspace(request, default_platform(), home, source)


def _of_folder(request: Request, folder: Path) -> Workspace:
    file = folder / PLATFORM_FILE
    if file.is_file():
        return Workspace(request, _read_platform(file), folder.resolve(), None)
    return Workspace(request, default_platform(), folder.resolve(), None)


def _typed(request: Request, platform: Platform) -> Source | None:
    """The source that was typed beside --platform; with none typed those of the file are read."""
    if request.source == "." and request.ref is None:
        return None
    from reconciler.sources.factory import source_from_argument

    return source_from_argument(request.source, request.ref, request.platform.resolve().parent / HOME / "cache")


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
    short = hashlib.sha256(url.encode()).hexdigest()[:12]
    return user_data_path("kubeserve") / f"{name or 'source'}-{short}"
