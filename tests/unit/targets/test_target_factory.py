"""Which target platform.yaml chooses, and that choosing one opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.artifacts.protocol import ArtifactStore
from reconciler.model.paths import Paths
from reconciler.targets.factory import open_target
from specs.models.platform import Platform, default_platform

CLUSTER = Platform.model_validate(
    {
        "apiVersion": "kubeserve.io/v1",
        "target": "kubernetes",
        "artifactStore": {"type": "s3", "bucket": "models"},
        "runtime": {"image": "registry.example.org/runtime:1"},
    }
)
KUBECONFIG = """
    apiVersion: v1
    kind: Config
    current-context: nowhere
    contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
    clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
    users: [{name: nobody, user: {}}]
"""


def test_a_platform_runs_on_this_machine_unless_it_says_otherwise(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store")
    target = open_target(default_platform(), Paths(tmp_path), lambda: store)
    assert (target.name, target.place) == ("local", "")
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_is_chosen_without_opening_the_store(tmp_path: Path) -> None:
    def opened() -> ArtifactStore:
        pytest.fail("pods fetch from the store themselves")

    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    target = open_target(CLUSTER, Paths(tmp_path / "base"), opened, kubeconfig)
    assert (target.name, target.runtime) == ("kubernetes", "registry.example.org/runtime:1")
    assert target.place == "cluster context nowhere"
    assert not (tmp_path / "base").exists()
