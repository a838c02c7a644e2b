"""Large files and many files: memory stays flat, and the number of git processes does not grow with the files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.sources.git import command
from reconciler.sources.git.source import GitAccess, GitSource
from tests.support.sources.repositories import Repository

LARGE = 192 * 2**20
MAX_GROWTH = 64 * 2**20
"""Bytes that Python, and each git, may need beyond what they need for a small file: chunks and mapped windows."""

STREAM = """
import hashlib, json, resource, sys
from pathlib import Path
from reconciler.sources.git.source import GitAccess, GitSource
from reconciler.sources.digests import DigestCache, artifact_sha256

source = GitSource("models", sys.argv[1], "main", GitAccess(Path(sys.argv[2]), allow_local=True))
artifact = source.artifact(source.resolve(), sys.argv[3])
head = artifact.head
sha256 = artifact_sha256(artifact, DigestCache(Path(sys.argv[2]) / "digests"))
source.close()
peaks = [resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"size": artifact.size, "sha256": sha256, "python": peaks[0], "git": peaks[1]}))
"""


def streamed(origin: Repository, cache: Path, path: str) -> dict[str, int]:
    command = [sys.executable, "-c", STREAM, str(origin.path), str(cache), path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, int] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
def test_a_large_file_is_fetched_and_streamed_in_flat_memory(tmp_path: Path) -> None:
    small = Repository.create(tmp_path / "small")
    small.write("model.onnx", b"x" * 1000)
    small.commit()
    before = streamed(small, tmp_path / "cache", "model.onnx")
    large = Repository.create(tmp_path / "large")
    large.git("config", "core.compression", "0")
    large.git("config", "core.bigFileThreshold", "1m")  # the server streams too, as hosts do
    with (large.path / "model.onnx").open("wb") as file:
        file.truncate(LARGE)
    large.commit()
    after = streamed(large, tmp_path / "cache", "model.onnx")
    assert after["size"] == LARGE
    assert after["python"] - before["python"] < MAX_GROWTH
    assert after["git"] - before["git"] < MAX_GROWTH


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sub-command of every git that was started."""
    commands: list[str] = []
    start = command.Git.start

    def counted(self: command.Git, *arguments: str, options: command.GitOptions = command.DEFAULTS) -> command.Process:
        commands.append(arguments[0])
        return start(self, *arguments, options=options)

    monkeypatch.setattr(command.Git, "start", counted)
    return commands


def test_three_thousand_files_are_read_with_a_handful_of_processes(tmp_path: Path, started: list[str]) -> None:
    origin = Repository.create(tmp_path / "origin")
    for number in range(1500):
        origin.write(f"team-{number}/kubeserve.yaml", f"tenant: t{number}\n".encode())
        origin.write(f"team-{number}/models/v1.joblib", f"model {number}".encode())
    origin.commit()
    source = GitSource("models", str(origin.path), "main", GitAccess(tmp_path / "cache", allow_local=True))
    revision = source.resolve()
    specs = source.spec_files(revision)
    artifacts = [source.artifact(revision, f"team-{number}/models/v1.joblib") for number in range(1500)]
    heads = [artifact.head for artifact in artifacts]
    assert len(specs) == 1500
    assert heads[-1] == b"model 1499"
    assert len(started) <= 8
    started.clear()
    assert source.resolve() == revision
    assert len(source.spec_files(revision)) == 1500
    assert len(started) <= 2
    source.close()


def test_the_beginning_of_a_large_file_is_read_from_git_once(tmp_path: Path, started: list[str]) -> None:
    origin = Repository.create(tmp_path / "origin")
    origin.write("large.onnx", b"\x08" * 2_000_000)
    origin.commit()
    access = GitAccess(tmp_path / "cache", allow_local=True)
    counts = []
    for _ in range(3):
        source = GitSource("models", str(origin.path), "main", access)
        artifact = source.artifact(source.resolve(), "large.onnx")
        started.clear()
        assert artifact.head == b"\x08" * 512
        assert artifact.head == b"\x08" * 512
        counts.append(len(started))
        source.close()
    assert counts == [1, 0, 0]
