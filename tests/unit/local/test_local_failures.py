"""Why a replica has ended: from its reason, its exit code, or its log; real processes, as apply starts them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import orjson
import pytest

from reconciler.targets.local import processes
from reconciler.targets.local.failures import cause_of
from reconciler.targets.local.replicas import Replica, ReplicaFolder


def ended(folder: Path, code: str) -> Replica:
    """A replica whose process ran Python code, until it has ended."""
    command = (sys.executable, "-X", "faulthandler", "-c", code)
    process = processes.spawn(command, {"PATH": os.environ["PATH"]}, folder, folder / "output")
    assert process is not None
    deadline = time.monotonic() + 30
    while processes.exit_code(process.pid) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return Replica(folder, ReplicaFolder(folder), process, None, alive=False)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import os; os.kill(os.getpid(), 11)", "the process crashed: Segmentation fault"),
        ("import os; os.abort()", "the process crashed: Aborted"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "it was killed (SIGKILL): from outside, or because the machine ran out of memory",
        ),
        ("import os; os.kill(os.getpid(), 15)", "it was ended by SIGTERM"),
        ("import os; os._exit(3)", "it ended with exit code 3"),
        ("raise SystemExit('no space left on /data')", "it ended with exit code 1: no space left on /data"),
    ],
)
def test_the_cause_is_how_the_process_ended(tmp_path: Path, code: str, cause: str) -> None:
    assert cause_of(ended(tmp_path, code)).startswith(cause)


def test_a_crash_is_named_with_the_place_of_the_models_own_code(tmp_path: Path) -> None:
    model = tmp_path / "predictor.py"
    model.write_text("import ctypes\n\ndef load():\n    ctypes.string_at(0)\n")
    replica = ended(tmp_path, f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import predictor; predictor.load()")
    assert cause_of(replica) == "the process crashed: Segmentation fault, in …/predictor.py line 4"


def test_the_runtimes_own_reason_comes_first(tmp_path: Path) -> None:
    (tmp_path / "reason.json").write_bytes(orjson.dumps({"reason": "The model can't be loaded."}))
    assert cause_of(ended(tmp_path, "import os; os.abort()")) == "The model can't be loaded."


def test_of_a_process_that_another_command_started_the_log_says_it(tmp_path: Path) -> None:
    replica = Replica(tmp_path, ReplicaFolder(tmp_path), processes.ProcessId(2**22 + 1, 1.0), None, alive=False)
    assert cause_of(replica) == "it ended without a reason: killed from outside, or the machine ran out of memory"
    dump = (
        'Fatal Python error: Aborted\n\nThread 0x1 (most recent call first):\n  File "/m/predictor.py", line 6 in f\n'
    )
    (tmp_path / "log").write_text(f"loading\n{dump}")
    assert cause_of(replica) == "the process crashed: Aborted, in …/predictor.py line 6"
