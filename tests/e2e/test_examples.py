"""Every example, as its README says: applied, asked over HTTP, answered rightly, destroyed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli.desk import Desk, desk_at
from tests.support.runtime.process import ROOT

EXAMPLES = ROOT / "examples"
ASKED: dict[str, dict[str, tuple[list[Any], list[Any]]]] = {
    "quickstart": {"demo/iris": ([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], ["setosa", "virginica"])},
    "onnx": {
        "demo/wine": ([[14.23, 1.71, 2.43, 15.6, 127, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065]], [0]),
    },
    "python-predictor": {
        "support/tickets": (
            ["You charged my card twice"],
            [{"queue": "billing", "confidence": 0.999, "words": ["card", "charged", "twice"]}],
        ),
    },
    "two-tenants": {
        "fraud/payments": ([[950, 3, 800, 1], [12.5, 14, 3, 0]], [1, 0]),
        "search/intent": (["cheap running shoes", "how does a compass work"], ["buy", "learn"]),
    },
}


@pytest.fixture(
    params=[pytest.param(name, marks=() if name == "quickstart" else pytest.mark.slow) for name in sorted(ASKED)]
)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / request.param
    shutil.copytree(EXAMPLES / request.param, folder, ignore=shutil.ignore_patterns(".kubeserve"))
    with desk_at(folder) as desk:
        yield desk


def test_no_example_is_left_out() -> None:
    assert ASKED.keys() == {readme.parent.name for readme in EXAMPLES.glob("*/README.md")}


def test_an_example_is_applied_and_answers(example: Desk) -> None:
    applied = example.apply()
    assert "warning" not in applied.err
    for deployment, (inputs, outputs) in ASKED[example.folder.name].items():
        assert example.ask(deployment, inputs) == outputs
    for arguments, answer in console_lines(example.folder / "README.md"):
        asked = example.run(*arguments)
        assert asked.data == json.loads(answer), asked
    assert example.run("plan", "--detailed-exitcode").code == 0
    assert example.run("destroy", "--yes").code == 0
    assert not example.processes()


def console_lines(readme: Path) -> list[tuple[list[str], str]]:
    """The predictions that a README asks for, each with the answer that it shows."""
    found = re.findall(r"^\$ kubeserve (predict .*)\n(\{.*\})$", readme.read_text(), re.MULTILINE)
    assert found, f"{readme} asks for nothing"
    return [(shlex.split(line), answer) for line, answer in found]
