"""The table of kinds is the only place that knows them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import reconciler.targets.kubernetes as package
from reconciler.model.resources import Kind, variant_id
from reconciler.targets.kubernetes.objects.identity import marks
from reconciler.targets.kubernetes.objects.kinds import ALLOWED, KINDS, REQUIRED, ObjectKind, kinds_of
from reconciler.targets.kubernetes.rendering.documents import Document
from reconciler.targets.kubernetes.rendering.errors import FenceError
from reconciler.targets.kubernetes.rendering.fence import CHECKS, Expected, fence

ROOT = Path(package.__path__[0])


def strings(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_api_versions_are_written_in_the_table_alone() -> None:
    versions = {kind.api.api_version for kind in KINDS} - {"v1"}
    files = [file for file in ROOT.rglob("*.py") if file.name != "kinds.py"]
    assert len(files) > 30
    assert [f"{file.name}: {text}" for file in files for text in strings(file) if text in versions] == []


@pytest.mark.parametrize("resource", [Kind.VARIANT, Kind.DEPLOYMENT])
def test_what_a_chart_may_make_has_a_check_of_its_spec(resource: Kind) -> None:
    assert {api.kind for api in ALLOWED[resource]} <= CHECKS.keys()
    assert set(REQUIRED[resource]) <= ALLOWED[resource] == set(kinds_of(resource))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if Kind.VARIANT not in kind.of], ids=lambda k: k.api.kind)
def test_the_fence_refuses_kinds_that_the_table_gives_to_other_resources(kind: ObjectKind) -> None:
    name = "churn-0a1b2c3d4e"
    expected = Expected(variant_id("fraud", name), "kubeserve-fraud", marks("prod", "fraud", "churn", name))
    one = {"apiVersion": kind.api.api_version, "kind": kind.api.kind, "metadata": {"name": name}, "spec": {}}
    with pytest.raises(FenceError, match=f"a variant has no {kind.api.api_version} {kind.api.kind}"):
        fence([Document("own/templates/a.yaml", one)], expected)
