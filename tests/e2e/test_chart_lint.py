"""The chart as a platform team looks at it first: lint, schema, documentation, under Helm 3 and Helm 4."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.targets.kubernetes.rendering.chart import own_chart
from tests.support.kubernetes.helm import helm

CHART = own_chart()
SINGLE, MANY = CHART / "ci" / "single-values.yaml", CHART / "ci" / "many-values.yaml"

both = pytest.mark.parametrize("major", [3, 4])


def run(major: int, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [helm(major), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


@both
@pytest.mark.parametrize("values", [SINGLE, MANY], ids=["single", "many"])
def test_lint_finds_nothing(major: int, values: Path) -> None:
    done = run(major, "lint", "--strict", CHART, "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout
    assert "[WARNING]" not in done.stdout


@both
@pytest.mark.parametrize(
    ("values", "where"),
    [
        ("replicas: {min: 0}", "replicas"),
        ("replica: 3", "replica"),
        ("env: {KUBESERVE_PORT: '1'}", "KUBESERVE_PORT"),
        ("env: {LEVEL: 5}", "LEVEL"),
        ("model: {digest: latest}", "digest"),
        ("routing: {kind: mesh}", "routing"),
        ("name: 3d", "name"),
        ("variants: [{name: a}]", "deployment"),
        ("variants: [{name: a, deployment: b, replicas: {max: many}}]", "max"),
        ("deployments: [{name: a}]", "backends"),
    ],
)
def test_the_schema_says_where_values_are_wrong(major: int, values: str, where: str) -> None:
    done = run(major, "template", "churn", CHART, "--values", SINGLE, "--values", "-", stdin=values)
    assert done.returncode == 1
    assert "values don't meet the specifications of the schema" in done.stderr
    assert where in done.stderr


@both
@pytest.mark.parametrize("missing", ["model.digest", "store.bucket"])
def test_what_is_required_is_named(major: int, missing: str) -> None:
    done = run(major, "template", "churn", CHART, "--values", SINGLE, "--set", f"{missing}=")
    assert done.returncode == 1
    assert f"{missing} is required" in done.stderr


def test_the_notes_say_how_to_ask_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "/dev/null")
    done = run(4, "install", "churn", CHART, "--values", SINGLE, "--dry-run=client")  # helm 3 wants a cluster for it
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "models.example.org under /fraud/churn" in notes
    assert "port-forward service/churn 8080:80" in notes
    assert "kubeserve.io/variant=churn" in notes


def test_every_value_is_documented_and_in_the_schema_and_the_readme() -> None:
    text = (CHART / "values.yaml").read_text()
    readme = (CHART / "README.md").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    documented = documented_keys(text)
    rows = {match[1]: match[2] for match in re.finditer(r"^\| (\S+) \|.*\| (.*) \|$", readme, re.MULTILINE)}
    for key in value_keys(yaml.safe_load(text), documented):
        assert key in documented, f"{key} has no `# --` comment"
        assert rows.get(key) == documented[key], f"README.md has another text for {key}: run helm-docs"
        assert in_schema(schema, key.split(".")), f"{key} is not in values.schema.json"


def documented_keys(text: str) -> dict[str, str]:
    """Key -> what its helm-docs comment says."""
    found: dict[str, str] = {}
    path: list[str] = []
    comment = ""
    for line in text.splitlines():
        if match := re.match(r"\s*# -- (.*)", line):
            comment = match[1]
        elif match := re.match(r"( *)([A-Za-z]+):", line):
            path = [*path[: len(match[1]) // 2], match[2]]
            if comment:
                found[".".join(path)] = comment
            comment = ""
    return found


def value_keys(values: dict[str, Any], documented: dict[str, str], prefix: str = "") -> list[str]:
    """Every value; one that is documented as a whole stands for what is in it."""
    found = []
    for name, value in values.items():
        key = f"{prefix}{name}"
        inner = isinstance(value, dict) and value and key not in documented
        found += value_keys(value, documented, f"{key}.") if inner else [key]
    return found


def in_schema(schema: dict[str, Any], path: list[str]) -> bool:
    return path[0] in schema["properties"] and (len(path) == 1 or in_schema(schema["properties"][path[0]], path[1:]))
