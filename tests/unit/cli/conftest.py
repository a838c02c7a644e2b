"""Commands called in this process, where they start none of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.root import run


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call("plan", "-o", "json")`: the exit code and what was said."""

    def called(*arguments: str) -> Said:
        capsys.readouterr()
        code = run(list(arguments))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return called


SPEC = """\
apiVersion: kubeserve.io/v1
tenant: {tenant}
models:
  m:
    versions:
      v1: {{artifact: model}}
deployments:
  d: {{model: m, version: {version}}}
"""


@pytest.fixture
def write_spec(folder: Path) -> Callable[..., Path]:
    """Writes a spec and the predictor that it serves."""

    def write(path: str = "kubeserve.yaml", *, tenant: str = "demo", version: str = "v1") -> Path:
        spec = folder / path
        (spec.parent / "model").mkdir(parents=True, exist_ok=True)
        (spec.parent / "model" / "predictor.py").write_text("class Predictor: ...\n")
        spec.write_text(SPEC.format(tenant=tenant, version=version))
        return spec

    return write
