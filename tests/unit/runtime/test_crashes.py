"""A dump of faulthandler becomes one line that names the model's own code; starts that don't last wait ever longer."""

from __future__ import annotations

import threading

import pytest

from runtime.crashes import Frame, frames_of, parse_dump, place
from runtime.errors import ModelHung
from runtime.supervisor import CALM_SECONDS, MAX_PAUSE_SECONDS, Restarts

SEGFAULT = """Fatal Python error: Segmentation fault

Thread 0x00007f6d1a7fc640 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait

Current thread 0x00007f6d1affd640 (most recent call first):
  File "/venv/lib/python3.11/site-packages/lightgbm/basic.py", line 3700 in __init__
  File "/tmp/kubeserve-model-x/predictor.py", line 6 in predict
  File "/usr/lib/python3.11/threading.py", line 1045 in _bootstrap_inner

Extension modules: numpy.core._multiarray_umath (total: 1)
"""


def test_the_crashed_threads_innermost_frame_of_the_models_own_code_is_named() -> None:
    dump = parse_dump(SEGFAULT)
    assert dump is not None
    assert (dump.error, dump.is_timeout) == ("Segmentation fault", False)
    assert place(dump.frames) == ", in predictor.py line 6 (predict)"
    assert 'threading.py", line 331' not in dump.short
    assert "Extension modules" not in dump.short
    assert dump.short.startswith("Fatal Python error: Segmentation fault\n  File ")


def test_without_own_code_the_library_is_named_and_without_both_nothing() -> None:
    library = Frame("/venv/lib/python3.11/site-packages/lightgbm/basic.py", 3700, "__init__")
    standard = Frame(threading.__file__, 1, "run")
    assert place([standard, library]) == ", in lightgbm/basic.py line 3700 (__init__)"
    assert place([standard]) == place([]) == ""


def test_an_expired_watchdog_is_told_from_a_crash() -> None:
    dump = parse_dump(
        'Timeout (0:00:06)!\nThread 0x00007f (most recent call first):\n  File "/m/p.py", line 2 in predict\n'
    )
    assert dump is not None
    assert dump.is_timeout
    assert place(dump.frames) == ", in p.py line 2 (predict)"


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):\n", "Fatal"])
def test_other_text_is_no_dump(text: str) -> None:
    assert parse_dump(text) is None


def test_a_crash_outside_of_python_has_no_frames() -> None:
    dump = parse_dump("Fatal Python error: Aborted\n\n<no Python frame>\n")
    assert dump is not None
    assert (dump.error, dump.frames) == ("Aborted", ())


def test_a_running_threads_frames_are_innermost_first() -> None:
    frames = frames_of(threading.get_ident())
    assert [frame.function for frame in frames].index("frames_of") == 0
    assert "test_a_running_threads_frames_are_innermost_first" in [frame.function for frame in frames]
    assert frames_of(-1) == ()


def test_starts_that_do_not_last_wait_longer_each_time_and_one_that_lasted_does_not_wait() -> None:
    fault, restarts, pauses = ModelHung("The model hangs", "…"), Restarts(), []
    for _ in range(9):
        restarts = restarts.after(fault, 1.0)
        pauses.append(restarts.pause_seconds)
    assert pauses == [0, 1, 2, 4, 8, 16, 32, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS]
    restarts = restarts.after(fault, CALM_SECONDS)
    assert (restarts.count, restarts.pause_seconds) == (10, 0)
    assert restarts.last is not None
    assert restarts.last.code == "model_hung"
