"""A runtime that can't serve what it should ends at once, and says why in one line."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.runtime.models import ROWS, train_logistic, write_pickle, write_python_predictor, write_version
from tests.support.runtime.process import RuntimeProcess


def ended(folder: Path, artifact: Path, *options: str, code: int = 1) -> tuple[str, dict[str, Any]]:
    """The last line of the log and the reason of a runtime that ended by itself with a code."""
    with RuntimeProcess(folder / "run", artifact, *options) as runtime:
        assert runtime.wait() == code, runtime.log
        reason: dict[str, Any] = json.loads(runtime.reason_file.read_text())
        return runtime.log.splitlines()[-1], reason


def test_one_flipped_byte_is_refused(tmp_path: Path) -> None:
    digest = write_version(tmp_path / "version", train_logistic(tmp_path / "m.joblib"))
    path = tmp_path / "version" / "model.joblib"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    last, reason = ended(tmp_path, tmp_path / "version", "--digest", digest)
    assert last.startswith("error: The bytes are not those that were pinned: model.joblib: expected sha256 ")
    assert reason == {"code": "digest_mismatch", "reason": last.removeprefix("error: ")}


def test_another_version_than_the_one_asked_for_is_refused(tmp_path: Path) -> None:
    write_version(tmp_path / "version", train_logistic(tmp_path / "m.joblib"))
    last, _ = ended(tmp_path, tmp_path / "version", "--digest", "sha256:" + "0" * 64)
    assert "manifest.json: expected sha256 000" in last


def test_a_failed_check_says_which_and_what_came(tmp_path: Path) -> None:
    checks = [{"inputs": ROWS[:1], "outputs": [0]}, {"inputs": ROWS[-1:], "outputs": [0]}]
    (tmp_path / "checks.json").write_text(json.dumps(checks))
    options = ["--checks", str(tmp_path / "checks.json")]
    last, reason = ended(tmp_path, train_logistic(tmp_path / "m.joblib"), *options)
    said = "A check failed: check 2 of 2, inputs [[1.0, 1.0, 1.0]]: expected [0] within 1e-06, got [1]"
    assert last == f"error: {said}"
    assert reason == {"code": "check_failed", "reason": said}


def test_a_model_that_raises_fails_its_check_and_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    body = "class Predictor:\n def __init__(self, path): ...\n def predict(self, inputs): raise RuntimeError('boom')"
    artifact = write_python_predictor(tmp_path / "model", body)
    with RuntimeProcess(tmp_path / "run", artifact, "--checks", '[{"inputs": [1]}]') as runtime:
        assert runtime.wait() == 1
        assert runtime.log.splitlines()[-1].endswith("answered 500 model_failed: The model raised RuntimeError: boom")
        assert "Traceback" in runtime.log


def test_a_check_that_takes_too_long_fails(tmp_path: Path) -> None:
    body = """
        import time

        class Predictor:
            def __init__(self, path): ...
            def predict(self, inputs): time.sleep(3600)
    """
    artifact = write_python_predictor(tmp_path / "model", body)
    last, _ = ended(tmp_path, artifact, "--checks", '[{"inputs": [1]}]', "--request-timeout", "0.2")
    assert last.endswith("answered 504 timeout: There was no answer within 0.2 s.")


def test_a_model_that_can_not_be_loaded_quotes_the_cause(tmp_path: Path) -> None:
    last, reason = ended(tmp_path, write_python_predictor(tmp_path / "model", "import not_there_at_all"))
    assert "No module named 'not_there_at_all'. Add not_there_at_all to the version's requirements" in last
    assert reason["code"] == "model"


def test_a_file_that_is_no_model_says_what_it_looks_like(tmp_path: Path) -> None:
    (tmp_path / "m.joblib").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    last, reason = ended(tmp_path, tmp_path / "m.joblib")
    assert "looks like a Git LFS pointer" in last
    assert reason["code"] == "format"


def test_a_format_is_named_in_the_words_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    last, reason = ended(tmp_path, tmp_path / "model.bin", "--format", "joblib")
    assert "should be joblib" in last
    assert reason["code"] == "format"


def test_a_version_skew_is_logged_in_plain_words(tmp_path: Path) -> None:
    import sklearn

    from tests.support.runtime.models import logistic_regression

    model = logistic_regression()
    path = write_pickle(tmp_path / "m.pkl", model)
    path.write_bytes(path.read_bytes().replace(sklearn.__version__.encode(), b"0" * len(sklearn.__version__)))
    with RuntimeProcess(tmp_path / "run", path) as runtime:
        runtime.wait_until_ready()
        saved = "0" * len(sklearn.__version__)
        assert f"The model was saved with scikit-learn {saved} and is loaded with {sklearn.__version__}" in runtime.log


def test_a_port_that_is_taken_is_a_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        last, reason = ended(tmp_path, write_python_predictor(tmp_path / "model"), "--port", str(port))
    assert last == f"error: Can't listen: 127.0.0.1 port {port}: Address already in use."
    assert reason["code"] == "address"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prefixes", "/{tenant}"], "Bad path prefix"),
        (["--checks", "[1"], "Bad checks"),
        (["--log-file", "absent/log"], "The log can't be written: absent/log: No such file or directory."),
        (["--record-file", "absent/record"], "The record can't be written"),
    ],
)
def test_wrong_settings_are_wrong_usage(tmp_path: Path, options: list[str], words: str) -> None:
    last, reason = ended(tmp_path, write_python_predictor(tmp_path / "model"), *options, code=64)
    assert words in last
    assert reason["code"] == "settings"


def test_an_unknown_option_is_wrong_usage(tmp_path: Path) -> None:
    with RuntimeProcess(tmp_path / "run", tmp_path, "--no-such-option") as runtime:
        assert runtime.wait() == 64
        assert "No such option" in runtime.log


def test_an_unwritable_reason_file_does_not_hide_the_reason(tmp_path: Path) -> None:
    options = ["--reason-file", str(tmp_path / "absent" / "reason")]
    with RuntimeProcess(tmp_path / "run", tmp_path / "absent.joblib", *options) as runtime:
        assert runtime.wait() == 1
        assert runtime.log.splitlines()[-1].endswith("absent.joblib does not exist.")
