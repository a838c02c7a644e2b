"""`kubeserve doctor` as a process, on the embedded parts."""

from __future__ import annotations

import shutil
import socket
from typing import Any

import pytest

from tests.support.cli.desk import Desk, Finished


def doctor(desk: Desk, *arguments: str) -> Finished:
    return desk.run("doctor", "-o", "json", *arguments)


def findings(done: Finished, check: str) -> list[tuple[str, str]]:
    return [(found["severity"], found["summary"]) for found in done.data["findings"] if found["check"] == check]


def test_a_directory_in_which_nothing_was_done_yet_is_good_and_stays_empty(desk: Desk) -> None:
    done = doctor(desk)
    assert (done.code, done.data["problems"], done.data["skipped"]) == (0, 0, []), done
    assert findings(done, "extra") == [("ok", "The extra `local` is installed")]
    assert list(desk.folder.iterdir()) == []


@pytest.mark.slow
def test_what_runs_is_known_until_its_state_is_lost(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    desk.apply()
    done = doctor(desk)
    assert done.code == 0, done
    assert findings(done, "gateway")[0][1].startswith("The gateway answers at http://127.0.0.1:")
    assert findings(done, "orphans") == [("ok", "Everything that runs is recorded")]
    shutil.move(desk.home / "state.json", desk.folder / "state.json")
    assert findings(doctor(desk), "orphans") == [("warning", "Something runs that no state file knows")]
    shutil.move(desk.folder / "state.json", desk.home / "state.json")


def test_a_taken_port_is_a_problem_in_words_and_code(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        desk.write("platform.yaml", f"apiVersion: kubeserve.io/v1\ngateway: {{port: {port}}}\n")
        done = desk.run("doctor")
    assert done.code == 1
    assert f"problem  The gateway's port is taken\n         Another process listens on 127.0.0.1:{port}" in done.out
    assert done.err.strip().startswith("1 problem, ")  # how many warnings depends on the machine


def test_this_machine_is_checked_even_where_the_platform_can_not_be_read(desk: Desk) -> None:
    desk.write("platform.yaml", "apiVersion: kubeserve.io/v1\ntarget: moon\n")
    done = doctor(desk)
    assert done.code == 1
    checks: list[Any] = [found["check"] for found in done.data["findings"]]
    assert checks == ["Python", "git", "git-lfs", "disk", "platform"]
    assert findings(done, "platform")[0][0] == "problem"
