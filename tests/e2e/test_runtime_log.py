"""A runtime's own log file never grows past its limit, and holds all output, crashes included."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.patience import eventually
from tests.support.runtime.models import write_python_predictor
from tests.support.runtime.process import RuntimeProcess

LIMIT = 20_000

TALKS = """
    class Predictor:
        def __init__(self, path):
            self.count = 0

        def predict(self, inputs):
            for _ in range(inputs[0]):
                print(f"line {self.count:06d} " + "." * 80)
                self.count += 1
            return inputs
"""

CRASHES = """
    import ctypes

    class Predictor:
        def __init__(self, path):
            print("about to crash")
            ctypes.string_at(0)

        def predict(self, inputs): ...
"""


def test_everything_it_says_goes_to_its_own_file(tmp_path: Path) -> None:
    options = ["--log-file", str(tmp_path / "own.log")]
    with RuntimeProcess(tmp_path / "run", write_python_predictor(tmp_path / "model", TALKS), *options) as runtime:
        runtime.wait_until_ready().predict([3])
        assert runtime.stop() == 0
        assert runtime.log == ""
    text = (tmp_path / "own.log").read_text()
    assert "Listening on http://127.0.0.1:" in text
    assert "line 000002" in text


def test_it_is_capped_and_no_line_is_lost_between_the_two_parts(tmp_path: Path) -> None:
    log, older = tmp_path / "own.log", tmp_path / "own.log.1"
    options = ["--log-file", str(log), "--log-limit", str(LIMIT)]
    with RuntimeProcess(tmp_path / "run", write_python_predictor(tmp_path / "model", TALKS), *options) as runtime:
        runtime.wait_until_ready().predict([1000])
        eventually(lambda: older.exists() and log.stat().st_size < LIMIT < older.stat().st_size + 200, "not capped")
        runtime.predict([3])
        assert runtime.stop() == 0
    said = [line for line in (older.read_text() + log.read_text()).splitlines() if line.startswith("line ")]
    numbers = [int(line.split()[1]) for line in said]
    assert numbers == list(range(numbers[0], 1003))
    assert older.stat().st_size <= LIMIT


def test_a_model_that_prints_still_answers_when_the_disk_of_its_log_is_full(tmp_path: Path) -> None:
    options = ["--log-file", "/dev/full"]
    with RuntimeProcess(tmp_path / "run", write_python_predictor(tmp_path / "model", TALKS), *options) as runtime:
        assert runtime.wait_until_ready().predict([3]) == [3]
        assert runtime.stop() == 0


def test_a_crash_is_in_the_log(tmp_path: Path) -> None:
    options = ["--log-file", str(tmp_path / "own.log")]
    with RuntimeProcess(tmp_path / "run", write_python_predictor(tmp_path / "model", CRASHES), *options) as runtime:
        assert runtime.wait() == 1
        reason = json.loads(runtime.reason_file.read_text())
    said = "The process crashed: Segmentation fault (SIGSEGV), in predictor.py line 7 (__init__)."
    assert reason == {"code": "crashed", "reason": said}
    lines = (tmp_path / "own.log").read_text().splitlines()
    assert lines[-1] == f"error: {said}"
    last = lines[-10:]
    assert last.index("about to crash") < last.index("Fatal Python error: Segmentation fault")


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", TALKS)
    for run in ("first", "second"):
        with RuntimeProcess(tmp_path / run, model, "--log-file", str(tmp_path / "own.log")) as runtime:
            runtime.wait_until_ready()
            runtime.stop()
    assert (tmp_path / "own.log").read_text().count("Ready; 0 checks passed") == 2
