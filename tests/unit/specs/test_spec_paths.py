"""Which files are specs, where their paths lead, and where a tenant may speak."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.errors import KubeServeError
from specs.models import paths
from specs.models.paths import PathError, is_glob, is_spec_path, matches_any, may_match_below, resolve_path


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
        ("\u00e9quipe/**", "e\u0301quipe/kubeserve.yaml", True),
        ("e\u0301quipe/**", "\u00e9quipe/kubeserve.yaml", True),
        ("?quipe/**", "e\u0301quipe/kubeserve.yaml", True),
    ],
)
def test_globs_say_where_a_tenant_may_speak(glob: str, path: str, matches: bool) -> None:
    assert matches_any(path, [glob]) is matches


def reference(glob: str) -> str:
    """The glob as a regular expression, which backtracks and so serves for short paths only."""
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob)
    return "".join(meaning.get(part, re.escape(part)) for part in parts)


segment = st.text(alphabet="ab*?", max_size=4).filter(lambda text: "**" not in text) | st.just("**")


@given(st.lists(segment, min_size=1, max_size=5).map("/".join), st.text(alphabet="ab/", min_size=1, max_size=9))
def test_a_glob_means_what_its_regular_expression_means(glob: str, path: str) -> None:
    assert matches_any(path, [glob]) is bool(re.fullmatch(reference(glob), path))


@given(
    st.lists(segment, min_size=1, max_size=4).map("/".join),
    st.lists(st.text(alphabet="ab", min_size=1, max_size=2), min_size=1, max_size=3).map("/".join),
    st.lists(st.text(alphabet="ab", min_size=1, max_size=2), min_size=1, max_size=3).map("/".join),
)
def test_a_folder_below_which_a_path_matches_is_never_taken_for_foreign(glob: str, folder: str, rest: str) -> None:
    if matches_any(f"{folder}/{rest}", [glob]):
        assert may_match_below(folder, [glob])


@pytest.mark.parametrize(
    ("glob", "folder", "possible"),
    [
        *[("teams/fraud/**", "teams", True), ("teams/fraud/**", "teams/fraud/a/b", True)],
        *[("teams/fraud/**", "teams/search", False), ("teams/*/kubeserve.yaml", "teams/a/b", False)],
        *[("teams/*/kubeserve.yaml", "teams/a", True), ("**/x/kubeserve.yaml", "anywhere", True)],
    ],
)
def test_what_a_folder_may_hold_follows_from_the_globs(glob: str, folder: str, possible: bool) -> None:
    assert may_match_below(folder, [glob]) is possible


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("**/prod/**/kubeserve.yaml", "prod/" * 800 + "kubeserve.yml"),
        ("**/fraud/**/prod/**/kubeserve.yaml", "fraud/prod/" * 90 + "kubeserve.yml"),
        ("**/*-*-*-*-*/kubeserve.yaml", "-" * 200 + "/kubeserve.yml"),
        ("/".join(["**", "a*a*a*a*"] * 30) + "/x", "a" * 200 + "/" + "aaaa/" * 500 + "y"),
        ("*a" * 200 + "b", "a" * 4_000),
    ],
)
def test_the_steps_of_a_match_are_at_most_the_product_of_both_lengths(
    glob: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def counted(character: str, wanted: str) -> bool:
        nonlocal steps
        steps += 1
        return wanted in ("?", character)

    monkeypatch.setattr(paths, "_is_character", counted)
    assert not matches_any(path, [glob])
    assert steps <= len(glob) * len(path)


@pytest.mark.parametrize(("text", "good"), [("**", True), ("a/**/b", True), ("a**", False), ("a/***/b", False)])
def test_two_asterisks_stand_for_whole_folders_only(text: str, good: bool) -> None:
    assert is_glob(text) is good
