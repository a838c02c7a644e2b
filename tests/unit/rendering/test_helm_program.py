"""How helm is found, and what is said where it isn't or where it fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.targets.kubernetes.rendering.errors import HelmMissing, RenderError
from reconciler.targets.kubernetes.rendering.helm import VARIABLE, Helm, HelmCall, find_helm, template


def program(folder: Path, script: str, name: str = "helm") -> Path:
    """A program in helm's place: what helm itself says and does is tested with helm."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_variable_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path, "echo v3.14.0+g123", "my-helm")
    monkeypatch.setenv(VARIABLE, str(named))
    assert find_helm() == Helm(str(named), (3, 14, 0))


def test_the_path_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = program(tmp_path, "echo v4.2.3+g456")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_helm() == Helm(str(found), (4, 2, 3))


def test_a_relative_name_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = program(tmp_path, "echo v4.0.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "./helm")
    assert find_helm().path == str(found)


def test_without_helm_one_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HelmMissing, match=r"3\.14 or later.*helm\.sh/docs/intro/install.*KUBESERVE_HELM"):
        find_helm()


def test_a_name_of_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(HelmMissing, match=r"KUBESERVE_HELM names .*none, which can't be run"):
        find_helm()


@pytest.mark.parametrize("said", ["v3.13.9", "v2.17.0"])
def test_an_old_helm_is_not_used(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path, f"echo {said}")))
    with pytest.raises(HelmMissing, match="Helm is too old"):
        find_helm()


@pytest.mark.parametrize("script", ["echo hello", "echo broken >&2; exit 1"])
def test_what_is_no_helm_is_not_used(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path, script)))
    with pytest.raises(HelmMissing, match="Helm can't be run"):
        find_helm()


def test_an_updated_helm_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path, "echo v3.14.0")))
    assert find_helm().version == (3, 14, 0)
    program(tmp_path, "echo v4.0.0 # now newer")
    assert find_helm().version == (4, 0, 0)


def call(chart: Path) -> HelmCall:
    return HelmCall(chart, "r", "default", {})


def test_helm_sees_nothing_of_the_users_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "HELM_PLUGINS", "HELM_KUBETOKEN", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "the user's")
    said = template(Helm(str(program(tmp_path, "env")), (4, 0, 0)), call(tmp_path))
    variables = dict(line.split("=", 1) for line in said.splitlines())
    assert "the user's" not in variables.values()
    assert variables["KUBECONFIG"] == "/dev/null"
    assert variables["HOME"] == variables["HELM_DATA_HOME"] != str(Path.home())


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Error: execution error at (model-serving/templates/_pod.tpl:12:3): model.digest is required",
            r"^model-serving/templates/_pod\.tpl:12:3: .*model\.digest is required",
        ),
        (
            "Error: YAML parse error on c/charts/d/templates/a.yaml: yaml: line 3\n\nUse --debug flag to render out "
            "invalid YAML",
            r"^c/charts/d/templates/a\.yaml: .*yaml: line 3$",
        ),
        ("level=WARN msg=old\nError: a: Error: b\n", "^a: Error: b$"),
        ("Error: values don't meet the specifications", "^values don't meet the specifications$"),
        ("", "^helm failed and said nothing"),
    ],
)
def test_a_failure_names_its_template(said: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "said").write_text(said)
    failing = program(tmp_path, f'cat "{tmp_path}/said" >&2; exit 1')
    with pytest.raises(RenderError) as raised:
        template(Helm(str(failing), (4, 0, 0)), call(tmp_path))
    assert raised.value.summary == "The chart can't be rendered"
    assert re.search(shown, raised.value.detail)


def test_a_failure_that_says_much_is_cut(tmp_path: Path) -> None:
    failing = program(tmp_path, "yes word | head -c 100000 >&2; exit 1")
    with pytest.raises(RenderError) as raised:
        template(Helm(str(failing), (4, 0, 0)), call(tmp_path))
    assert len(raised.value.detail) < 3_000


def test_a_helm_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.targets.kubernetes.rendering.helm.CALL_SECONDS", 0.2)
    hanging = program(tmp_path, "exec sleep 60")
    with pytest.raises(RenderError, match="Helm took too long"):
        template(Helm(str(hanging), (4, 0, 0)), call(tmp_path))
