"""The same commit as a directory on Windows and as Git: two digests that differ by carriage returns alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli.desk import command_line, environment
from tests.support.sources.repositories import Repository

SPEC = """\
apiVersion: kubeserve.io/v1
tenant: lines
models:
  m:
    versions:
      v1: {{artifact: {artifact}{more}}}
"""
PREDICTOR = b"class Predictor:\n    def __init__(self, path): ...\n\n    def predict(self, inputs): return inputs\n"
TREE = b"tree\nversion=v4\nnum_class=1\n"


@pytest.mark.parametrize(
    ("artifact", "more", "files"),
    [
        ("trees.txt", "", {"trees.txt": TREE}),
        ("model", "", {"model/predictor.py": PREDICTOR, "model/weights.bin": b"\0\r\n\n", "model/data.csv": b"1\n2\n"}),
        ("trees.txt", ", requirements: r.txt", {"trees.txt": TREE, "r.txt": b"numpy\npandas\n"}),
    ],
)
def test_a_version_that_differs_by_line_endings_says_so(
    tmp_path: Path, artifact: str, more: str, files: dict[str, bytes]
) -> None:
    repository = Repository.create(tmp_path / "repo")
    repository.write("kubeserve.yaml", SPEC.format(artifact=artifact, more=more).encode())
    for path, content in files.items():
        repository.write(path, content)
    repository.write(".gitattributes", b"* text=auto\n")
    repository.commit()
    assert kubeserve(repository.path, "apply", "--yes", "--ref", "main").returncode == 0
    for path, content in files.items():
        if b"\0" not in content:
            repository.write(path, content.replace(b"\n", b"\r\n"))
    windows = kubeserve(repository.path, "plan")
    assert "Version has other content" in windows.stdout + windows.stderr
    assert "differ by carriage returns alone" in " ".join((windows.stdout + windows.stderr).split())
    for path, content in files.items():
        repository.write(path, content + b"\n# more\n")
    changed = kubeserve(repository.path, "plan")
    assert "Version has other content" in changed.stdout + changed.stderr
    assert "carriage returns" not in changed.stdout + changed.stderr


def kubeserve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line(*arguments), cwd=folder, capture_output=True, text=True, check=False, env=environment()
    )
