"""Which files are specs, where their paths lead, and where a tenant may speak."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.errors import KubeServeError
from specs.models.paths import PathError, is_spec_path, matches_any, resolve_path


@pytest.mark.parametrize("path", ["kubeserve.yaml", "kubeserve.yml", "a/b/c/kubeserve.yaml", "a.b/kubeserve.yml"])
def test_a_spec_is_found_at_any_depth(path: str) -> None:
    assert is_spec_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *["platform.yaml", "a/my-kubeserve.yaml", ".git/kubeserve.yaml", "a/.venv/b/kubeserve.yaml"],
        *["kubeserve.yaml/x", "node_modules/x/kubeserve.yaml", ".kubeserve/kubeserve.yaml", "kubeserve.yaml.bak", ""],
    ],
)
def test_what_is_no_spec_is_left_alone(path: str) -> None:
    assert not is_spec_path(path)


@pytest.mark.parametrize(
    ("spec", "written", "resolved"),
    [
        ("kubeserve.yaml", "models/a.joblib", "models/a.joblib"),
        ("teams/fraud/kubeserve.yaml", "a.joblib", "teams/fraud/a.joblib"),
        ("teams/fraud/kubeserve.yaml", "../shared/./a.joblib", "teams/shared/a.joblib"),
        ("teams/fraud/kubeserve.yaml", "../../a.joblib", "a.joblib"),
        ("teams/fraud/kubeserve.yaml", "model/", "teams/fraud/model"),
        ("kubeserve.yaml", "..a/b", "..a/b"),
    ],
)
def test_a_path_is_relative_to_its_spec(spec: str, written: str, resolved: str) -> None:
    assert resolve_path(spec, written) == resolved


@pytest.mark.parametrize(
    "written", ["../a", "a/../../a", "/a", "//a", "~/a", "C:/a", "a\\b", "a\0", "a\nb", "", "  ", "x" * 1025]
)
def test_a_path_that_leads_elsewhere_is_refused(written: str) -> None:
    with pytest.raises(PathError) as refused:
        resolve_path("kubeserve.yaml", written)
    assert isinstance(refused.value, KubeServeError)
    assert refused.value.detail


@given(st.text(alphabet="ab./~\\\0", max_size=30), st.sampled_from(["kubeserve.yaml", "a/b/kubeserve.yaml"]))
def test_no_path_ever_leaves_its_source(written: str, spec: str) -> None:
    try:
        resolved = resolve_path(spec, written)
    except PathError:
        return
    assert not resolved.startswith("/")
    assert ".." not in resolved.split("/")


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("**", "a/b/kubeserve.yaml", True),
        ("teams/fraud/**", "teams/fraud/kubeserve.yaml", True),
        ("teams/fraud/**", "teams/fraud/a/b/kubeserve.yaml", True),
        ("teams/fraud/**", "teams/fraudulent/kubeserve.yaml", False),
        ("teams/fraud/**", "x/teams/fraud/kubeserve.yaml", False),
        ("**/kubeserve.yaml", "kubeserve.yaml", True),
        ("teams/*/kubeserve.yaml", "teams/a/kubeserve.yaml", True),
        ("teams/*/kubeserve.yaml", "teams/a/b/kubeserve.yaml", False),
        ("t?/k.yaml", "t1/k.yaml", True),
        ("t?/k.yaml", "t//k.yaml", False),
        ("a.b", "axb", False),
        ("a[b]", "ab", False),
    ],
)
def test_globs_say_where_a_tenant_may_speak(glob: str, path: str, matches: bool) -> None:
    assert matches_any(path, [glob]) is matches
