from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from reconciler.targets.local import processes
from reconciler.targets.local.identity import Origin
from reconciler.targets.local.processes import ProcessId
from tests.support.local.users import OTHER_UID, as_root


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessId]:
    environment = {"PATH": os.environ["PATH"], **Origin(tmp_path, "abc").to_environment()}
    process = processes.spawn(("sleep", "3600"), environment, tmp_path, tmp_path / "output")
    assert process is not None
    deadline = time.monotonic() + 30
    while not list(processes.bearers(tmp_path)):  # the kernel shows the environment a moment after exec
        assert time.monotonic() < deadline
        os.sched_yield()
    yield process
    processes.kill(process, Origin(tmp_path, "abc"))
    wait_until_gone(process)


def wait_until_gone(process: ProcessId) -> None:
    deadline = time.monotonic() + 30
    while processes.is_alive(process):
        assert time.monotonic() < deadline
        os.sched_yield()
    processes.reap()


def test_a_process_of_ours_is_known_by_pid_and_start_time(sleeper: ProcessId) -> None:
    assert processes.is_alive(sleeper)
    assert processes.identify(sleeper.pid) == sleeper


def test_the_same_pid_with_another_start_time_is_another_process(sleeper: ProcessId) -> None:
    assert not processes.is_alive(replace(sleeper, started=sleeper.started - 60))


def test_its_token_knows_a_process_whose_start_time_a_changed_clock_moved(sleeper: ProcessId, tmp_path: Path) -> None:
    moved = replace(sleeper, started=sleeper.started - 3600)
    assert processes.is_alive(moved, Origin(tmp_path, "abc"))
    assert not processes.is_alive(moved, Origin(tmp_path, "another"))
    assert not processes.is_alive(moved, Origin(tmp_path / "other", "abc"))


@pytest.mark.parametrize("end", [processes.terminate, processes.kill])
def test_a_process_that_was_not_started_here_under_this_name_is_not_signalled(
    sleeper: ProcessId, tmp_path: Path, end: Callable[[ProcessId, Origin], None]
) -> None:
    """Whatever a file says of it: pid and start time are right."""
    for origin in (Origin(tmp_path, "another"), Origin(tmp_path / "other", "abc"), Origin(tmp_path, "")):
        assert not processes.is_alive(sleeper, origin)
        end(sleeper, origin)
    with subprocess.Popen(["sleep", "3600"], env={}, start_new_session=True) as bare:
        identity = processes.identify(bare.pid)
        assert identity is not None
        end(identity, Origin(tmp_path, "abc"))
        assert bare.poll() is None
        bare.kill()
    assert processes.is_alive(sleeper)


@as_root
def test_a_process_of_another_user_is_not_signalled_and_not_ours(tmp_path: Path) -> None:
    origin = Origin(tmp_path, "abc")
    with subprocess.Popen(["sleep", "3600"], env=origin.to_environment(), user=OTHER_UID, cwd="/") as foreign:
        identity = processes.identify(foreign.pid)
        assert identity is not None
        processes.terminate(identity, origin)
        processes.kill(identity, origin)
        assert list(processes.bearers(tmp_path)) == []
        assert foreign.poll() is None
        foreign.kill()


def test_what_was_started_for_a_run_directory_is_found_by_its_environment(sleeper: ProcessId, tmp_path: Path) -> None:
    (bearer,) = processes.bearers(tmp_path)
    assert (bearer.process, bearer.token) == (sleeper, "abc")
    assert list(processes.bearers(tmp_path / "other")) == []


def test_it_leads_its_own_session(sleeper: ProcessId) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert os.getsid(sleeper.pid) != os.getsid(0)


def test_sigterm_ends_it_and_nothing_of_it_is_left(sleeper: ProcessId, tmp_path: Path) -> None:
    processes.terminate(sleeper, Origin(tmp_path, "abc"))
    wait_until_gone(sleeper)
    assert not processes.has_group(sleeper.pid)
    assert not psutil.pid_exists(sleeper.pid)
    processes.kill(sleeper, Origin(tmp_path, "abc"))


def test_sigkill_takes_its_children_along(tmp_path: Path) -> None:
    command = ("sh", "-c", "sleep 3600 & wait")
    origin = Origin(tmp_path, "abc")
    environment = {"PATH": os.environ["PATH"], **origin.to_environment()}
    process = processes.spawn(command, environment, tmp_path, tmp_path / "output")
    assert process is not None
    deadline = time.monotonic() + 30
    while not (children := psutil.Process(process.pid).children()):
        assert time.monotonic() < deadline
    processes.kill(process, origin)
    wait_until_gone(process)
    for child in children:
        wait_until_gone(ProcessId(child.pid, child.create_time()))


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as child:
        identity = processes.identify(child.pid)
        assert identity is not None
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.is_alive(identity)


def test_a_pid_that_nobody_has_is_nobody() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    assert processes.identify(child.pid) is None
    assert not processes.is_alive(ProcessId(child.pid, 0.0))
