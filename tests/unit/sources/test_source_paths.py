"""Which paths an artifact may have, and what is said of the others."""

from __future__ import annotations

import pytest

from reconciler.sources.paths import SourcePath, is_packed, printable
from reconciler.sources.protocol import SourceError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("model.joblib", ("model.joblib",)),
        ("models/v1.joblib", ("models", "v1.joblib")),
        ("./models//v1.joblib", ("models", "v1.joblib")),
        ("teams/fraud/../shared/v1.joblib", ("teams", "shared", "v1.joblib")),
        ("models/", ("models",)),
        ("-rf", ("-rf",)),
        ("Modèle n° 1.joblib", ("Modèle n° 1.joblib",)),
    ],
)
def test_a_path_is_read_as_components_from_the_root(text: str, parts: tuple[str, ...]) -> None:
    assert SourcePath.parse(text).parts == parts


@pytest.mark.parametrize(
    "text",
    ["../model.joblib", "a/../../b", "/etc/passwd", "~/model.joblib", "a\\b", "a\0b", "a\nb", "", "  ", "..", "C:/x"],
)
def test_a_path_that_could_leave_the_source_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        SourcePath.parse(text)


def test_the_root_itself_is_no_artifact() -> None:
    with pytest.raises(SourceError, match="into a folder"):
        SourcePath.parse("models/..")


@pytest.mark.parametrize("text", [".kubeserve/secrets/hub/key", ".git/config", "sub/.git/config"])
def test_what_git_and_kubeserve_keep_is_no_artifact(text: str) -> None:
    with pytest.raises(SourceError, match="never read as a model"):
        SourcePath.parse(text)


def test_an_absent_file_is_answered_with_the_nearest_name() -> None:
    error = SourcePath.parse("models/churn-v1.joblib").absent(1, ["churn_v1.joblib", "fraud.onnx"])
    assert "Did you mean 'models/churn_v1.joblib'?" in error.detail
    assert not error.retryable


def test_an_absent_file_with_no_name_near_is_answered_with_what_is_there() -> None:
    assert "It holds 'a' and 'b'." in SourcePath.parse("models/churn.joblib").absent(1, ["b", "a"]).detail
    assert "The source's root has no 'models'. It is empty." in SourcePath.parse("models/x").absent(0, []).detail


def test_no_name_reaches_a_terminal_unescaped() -> None:
    error = SourcePath.parse("models/churn.joblib").absent(1, ["churn.joblib\x1b[2J", "\udcff"])
    assert "\x1b" not in str(error)
    str(error).encode()


@pytest.mark.parametrize("name", [".env", ".git", ".DS_Store", "__pycache__", "a.pyc"])
def test_what_is_not_the_model_is_left_out_of_a_folder(name: str) -> None:
    assert not is_packed(name)


def test_paths_that_are_not_utf8_become_text_that_can_be_stored() -> None:
    assert printable("a/\udcff.yaml") == "a/\\xff.yaml"


def test_a_name_that_differs_only_in_its_unicode_form_is_told_apart() -> None:
    error = SourcePath.parse("models/\u00e9t\u00e9.joblib").absent(1, ["e\u0301te\u0301.joblib", "other"])
    assert "has other code points, 'e\\u0301te\\u0301.joblib'" in error.detail
