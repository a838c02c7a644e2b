"""Why a process ended, in the same words for both targets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.targets.endings import before_dump, how_it_ended, is_crash

CRASH = "import ctypes; ctypes.string_at(0)"
ABORT = "import os; os.abort()"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (139, "the process crashed: Segmentation fault"),
        (-11, "the process crashed: Segmentation fault"),
        (134, "the process crashed: Aborted"),
        (135, "the process crashed: Bus error"),
        (132, "the process crashed: Illegal instruction"),
        (137, "it was killed (SIGKILL): from outside, or because the machine ran out of memory"),
        (-9, "it was killed (SIGKILL): from outside, or because the machine ran out of memory"),
        (143, "it was ended by SIGTERM"),
        (-50, "it was ended by signal 50"),
        (1, "it ended with exit code 1"),
        (128, "it ended with exit code 128"),
        (255, "it ended with exit code 255"),
    ],
)
def test_an_exit_code_is_explained(code: int, words: str) -> None:
    assert how_it_ended(code) == words


@pytest.mark.parametrize(("code", "words"), [(CRASH, "Segmentation fault"), (ABORT, "Aborted")])
def test_the_dump_of_a_real_crash_names_the_line_of_the_users_file(tmp_path: Path, code: str, words: str) -> None:
    script = tmp_path / "predictor.py"
    script.write_text(f"print('loading', flush=True)\n\n{code}\n")
    done = subprocess.run([sys.executable, "-X", "faulthandler", str(script)], capture_output=True, text=True)
    output = (done.stdout + done.stderr).splitlines()
    assert is_crash(done.returncode)
    assert how_it_ended(done.returncode, output) == f"the process crashed: {words}, in …/predictor.py line 3"
    assert how_it_ended(done.returncode) == f"the process crashed: {words}"
    assert before_dump(output) == ["loading"]


def test_a_dump_without_frames_names_no_place() -> None:
    assert how_it_ended(139, ["x", "Fatal Python error: Bus error"]) == "the process crashed: Bus error"


def test_a_crash_inside_of_libraries_alone_names_the_innermost() -> None:
    dump = [
        "Fatal Python error: Segmentation fault",
        "",
        "Current thread 0x1 (most recent call first):",
        '  File "/env/lib/python3.11/site-packages/lightgbm/basic.py", line 7 in load',
        '  File "<frozen runpy>", line 88 in _run_code',
        "",
        "Extension modules: numpy (total: 1)",
    ]
    assert how_it_ended(139, dump) == "the process crashed: Segmentation fault, in …/basic.py line 7"


def test_output_without_a_dump_is_kept_whole() -> None:
    assert before_dump(["a", "b"]) == ["a", "b"]
