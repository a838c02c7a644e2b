"""Options and environment become settings, or one clear refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.errors import SettingsError
from runtime.settings import Check, Identity, apply_threads, checks_of, prefixes_of

CHURN = Identity(tenant="fraud", deployment="churn")


def test_a_deployment_answers_under_the_paths_that_routes_carry() -> None:
    assert prefixes_of(None, CHURN) == ("/fraud/churn", "/api/v1/predict/fraud/churn")
    assert prefixes_of(None, Identity(tenant="fraud")) == ()


def test_prefixes_can_be_given_instead() -> None:
    assert prefixes_of("/a/b, /c/", CHURN) == ("/a/b", "/c")
    assert prefixes_of("", CHURN) == ()


@pytest.mark.parametrize("text", ["a/b", "/a//b", "/{x}", "/a b", "/a?b", "http://x/y"])
def test_a_prefix_that_is_no_plain_path_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="no path like"):
        prefixes_of(text, CHURN)


def test_checks_are_read_from_json_or_a_file(tmp_path: Path) -> None:
    text = '[{"inputs": [[1, 2]], "outputs": [0], "tolerance": 0.1}, {"inputs": ["a"], "tolerance": 0}]'
    expected = (Check([[1, 2]], [0], 0.1), Check(["a"], None, 0.0))
    (tmp_path / "checks.json").write_text(text)
    assert checks_of(text) == expected
    assert checks_of(str(tmp_path / "checks.json")) == expected
    assert checks_of(None) == checks_of(" ") == ()


@pytest.mark.parametrize(
    "checks",
    [
        "/no/such/file.json",
        "[",
        [1],
        [{}],
        [{"inputs": []}],
        [{"inputs": 1}],
        [{"inputs": [1], "outputs": 1}],
        [{"inputs": [1], "outputs": [1, 2]}],
        [{"inputs": [1], "tolerance": "wide"}],
        [{"inputs": [1], "tolerance": -1}],
    ],
)
def test_what_are_no_checks_is_refused(checks: object) -> None:
    with pytest.raises(SettingsError, match="no list of checks"):
        checks_of(checks if isinstance(checks, str) else json.dumps(checks))


def test_a_number_of_threads_reaches_the_libraries_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    monkeypatch.setattr(os, "environ", {"MKL_NUM_THREADS": "7"})
    assert apply_threads(2) == 2
    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert os.environ["MKL_NUM_THREADS"] == "7"


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("0", None), ("many", None), ("", None)])
def test_without_one_the_environment_decides(monkeypatch: pytest.MonkeyPatch, said: str, threads: int | None) -> None:
    import os

    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": said})
    assert apply_threads(None) == (threads or len(os.sched_getaffinity(0)))
    assert os.environ == {"OMP_NUM_THREADS": said}
