"""What several end-to-end modules work on. A module that needs more overrides the fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.sources.git.source import GitAccess, GitSource
from tests.support.cli.desk import Desk, desk_at
from tests.support.gateway.process import RunningGateway, running_gateway
from tests.support.gateway.upstreams import Upstream, upstream
from tests.support.kubernetes.cluster import Cluster, cluster
from tests.support.sources.repositories import Repository


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A directory for specs, and the command on it. Nothing is left running."""
    with desk_at(tmp_path) as desk:
        yield desk


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
def behind() -> Iterator[Upstream]:
    """A server behind the gateway, which answers with what it got."""
    with upstream() as server:
        yield server


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all modules, so each names what it makes there afresh."""
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def kubeconfig(api_server: Cluster) -> Path:
    return api_server.kubeconfig


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def open_git(origin: Repository, cache: Path) -> Iterator[Callable[..., GitSource]]:
    """Opens the module's repository `origin`, or another URL, at a ref."""
    opened: list[GitSource] = []

    def open_(ref: str | None = "main", url: str | Path | None = None) -> GitSource:
        opened.append(GitSource("models", str(url or origin.path), ref, GitAccess(cache, allow_local=True)))
        return opened[-1]

    yield open_
    for source in opened:
        source.close()
