"""What who can't have a lock is told of its owner."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from reconciler.targets.ownership import held_by, this_process


def test_an_owner_that_runs_is_named_and_waited_for() -> None:
    error = held_by(this_process("kubeserve apply", 1))
    assert error.summary == "Another round is running"
    assert "kubeserve apply (process" in error.detail


def test_an_owner_that_was_killed_on_this_machine_is_known_to_be_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    dead = replace(this_process("kubeserve apply", 1), pid=ended.pid)
    assert held_by(dead).summary == "A round has ended without giving its lock back"
    assert held_by(replace(dead, host="another.example.org")).summary == "Another round is running"
