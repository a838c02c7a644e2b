"""Whether the owner of a lock is known to be dead."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from reconciler.targets.ownership import this_process


def test_an_owner_that_runs_has_not_ended() -> None:
    assert not this_process("kubeserve apply", 1).has_ended


def test_an_owner_that_was_killed_has_ended_as_far_as_its_own_machine_can_tell() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    dead = replace(this_process("kubeserve apply", 1), pid=ended.pid)
    assert dead.has_ended
    assert not replace(dead, host="another.example.org").has_ended
