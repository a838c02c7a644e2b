"""Every example's training script makes the model that is committed, and the runtime serves it and agrees."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.artifact import open_artifact
from runtime.loaders import load
from runtime.server.checks import judge
from runtime.server.inference import answer
from runtime.settings import Check
from tests.support.runtime.process import ROOT, RuntimeProcess

EXAMPLES = ROOT / "examples"
SPECS = sorted(EXAMPLES.rglob("kubeserve.yaml"))
MAX_COMMITTED_BYTES = 200_000


def served(spec: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Every artifact that a deployment of a spec serves, with the checks that it has to pass."""
    document = yaml.safe_load(spec.read_text())
    for deployment in document["deployments"].values():
        versions = document["models"][deployment["model"]]["versions"]
        for version in deployment.get("traffic") or [deployment["version"]]:
            yield spec.parent / versions[version]["artifact"], deployment.get("checks", [])


ARTIFACTS = [served_one for spec in SPECS for served_one in served(spec)]


def name_of(value: object) -> str | None:
    return str(value.relative_to(EXAMPLES)) if isinstance(value, Path) else ""


@pytest.mark.slow
@pytest.mark.parametrize(("artifact", "checks"), ARTIFACTS, ids=name_of)
def test_the_committed_model_is_served_and_passes_its_checks(
    tmp_path: Path, artifact: Path, checks: list[dict[str, Any]]
) -> None:
    assert checks
    with RuntimeProcess(tmp_path, artifact, "--checks", json.dumps(checks)) as runtime:
        runtime.wait_until_ready()
        assert "WARNING" not in runtime.log


@pytest.mark.slow
@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/train.py")))
def test_training_again_makes_models_that_answer_alike(
    tmp_path: Path, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    again = tmp_path / example
    shutil.copytree(EXAMPLES / example, again)
    command = [sys.executable, "-W", "error", str(again / "train.py")]
    trained = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert trained.returncode == 0, trained.stderr
    # Not the same bytes: another CPU may round the last digit otherwise.
    for artifact, checks in ARTIFACTS:
        if artifact.is_relative_to(EXAMPLES / example):
            for check in checks:
                rows = check["inputs"]
                found = predictions(again / artifact.relative_to(EXAMPLES / example), rows)
                assert judge(Check(rows, predictions(artifact, rows), 1e-4), 200, {"predictions": found}) == ""


def predictions(artifact: Path, rows: list[Any]) -> Any:
    with ExitStack() as cleanup:
        opened = open_artifact(artifact, None, None, cleanup)
        predictor = load(opened.path, opened.model_format)
        return json.loads(answer(predictor, json.dumps({"inputs": rows}).encode(), 1_000_000))["predictions"]


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_an_example_is_small_and_says_what_it_is(example: str) -> None:
    folder = EXAMPLES / example
    assert (folder / "README.md").read_text().startswith("# ")
    assert (folder / "train.py").is_file()
    assert max(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MAX_COMMITTED_BYTES


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_an_editor_finds_the_schema(spec: Path) -> None:
    modeline = spec.read_text().splitlines()[0]
    assert modeline.startswith("# yaml-language-server: $schema=")
    schema = (spec.parent / modeline.partition("$schema=")[2]).resolve()
    assert schema == ROOT / "specs" / "kubeserve.schema.json"
