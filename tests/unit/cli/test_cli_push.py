"""`kubeserve push`: a digest on stdout, all the rest on stderr."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.runtime.models import write_pickle

Call = Callable[..., Any]
NAMED = ("--tenant", "demo", "--model", "m", "--version", "v1")


@pytest.fixture
def model(folder: Path) -> Path:
    return write_pickle(folder / "model.pkl", [1, 2, 3])


def test_a_push_prints_the_digest_that_a_spec_then_names(call: Call, model: Path, folder: Path) -> None:
    done = call("push", "model.pkl", *NAMED)
    assert done.code == 0
    digest = done.out.strip()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    assert f'v1: {{digest: "{digest}"}}' in done.err
    spec = f'apiVersion: kubeserve.io/v1\ntenant: demo\nmodels: {{m: {{versions: {{v1: {{digest: "{digest}"}}}}}}}}\n'
    (folder / "kubeserve.yaml").write_text(spec + "deployments: {d: {model: m, version: v1}}\n")
    changes = {change["id"]: change["action"] for change in call("plan", "-o", "json").data["changes"]}
    assert changes["version/demo/m/v1"] == "take over"
    assert changes["deployment/demo/d"] == "create"


def test_a_push_writes_its_line_into_a_spec_and_keeps_the_rest(call: Call, model: Path, folder: Path) -> None:
    spec = folder / "kubeserve.yaml"
    spec.write_text("apiVersion: kubeserve.io/v1\ntenant: demo  # ours\n")
    done = call("push", "model.pkl", *NAMED, "--write", "kubeserve.yaml")
    assert done.code == 0
    assert "# ours" in spec.read_text()
    assert done.out.strip() in spec.read_text()
    assert "Added version v1 of model m to kubeserve.yaml." in done.err
    assert call("validate").code == 0
    assert "already has version v1 of model m" in call("push", "model.pkl", *NAMED, "--write", "kubeserve.yaml").err


def test_a_spec_that_can_not_be_added_to_stops_a_push_before_it_uploads(call: Call, model: Path, folder: Path) -> None:
    (folder / "kubeserve.yaml").write_text("apiVersion: kubeserve.io/v1\ntenant: other\n")
    done = call("push", "model.pkl", *NAMED, "--write", "kubeserve.yaml")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("kubeserve.yaml:2:9: error: Spec of another tenant\n")
    assert not (folder / ".kubeserve/store").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.pkl", *NAMED), "error: No such file\n  There is no 'nowhere.pkl'."),
        (("model.txt", *NAMED), "error: The file is not what its format says"),
        (("model.pkl", "--tenant", "demo", "--model", "M", "--version", "v1"), "error: Invalid name"),
        (("model.pkl", "--tenant", "api", "--model", "m", "--version", "v1"), "error: Reserved name"),
        (("model.pkl", *NAMED, "--requirements", "nowhere.txt"), "error: No such file"),
    ],
)
def test_what_can_not_be_pushed_says_why(
    call: Call, model: Path, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    (folder / "model.txt").write_text("no booster")
    done = call("push", *arguments)
    assert (done.code, done.out) == (1, "")
    assert said in done.err


def test_other_bytes_under_the_same_name_are_refused(call: Call, model: Path, folder: Path) -> None:
    call("push", "model.pkl", *NAMED)
    write_pickle(folder / "model.pkl", [4])
    done = call("push", "model.pkl", *NAMED)
    assert done.code == 1
    assert "name a new version" in done.err
