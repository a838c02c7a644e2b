"""What the machine refuses: no room, no right to write, nobody who reads, no network."""

from __future__ import annotations

import resource
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.cli.desk import Desk, command_line, environment
from tests.support.patience import PATIENCE_SECONDS

ROOM_BYTES = 6000
"""Enough for a state file, and for no artifact of ours."""


def with_little_room(desk: Desk, size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that can write no file larger than so many bytes: what a full disk is to it."""
    return subprocess.run(
        command_line(*arguments),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=desk.folder,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_an_artifact_for_which_there_is_no_room_fails_alone_and_leaves_nothing(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    desk.write("v1/weights.txt", "x" * 100_000)
    applied = with_little_room(desk, ROOM_BYTES, "apply", "--yes")
    assert applied.returncode == 1
    assert "version/demo/m/v1 is Failed: " in applied.stderr
    assert f"{desk.home / 'store'}: File too large" in applied.stderr
    assert "deployment/demo/d is Failed: version/demo/m/v1: " in applied.stderr
    assert "Traceback" not in applied.stderr
    assert desk.status("d")["reason"] == "PartFailed"
    assert not list((desk.home / "store").rglob("manifest.json"))
    desk.apply()
    assert desk.ask("d") == ["v1"]


def test_a_record_for_which_there_is_no_room_stops_a_round_before_it_does_anything(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    applied = with_little_room(desk, 200, "apply", "--yes")
    assert applied.returncode == 1
    assert "error: State file can't be written\n" in applied.stderr
    assert f"{desk.home / 'state.json'}" in applied.stderr
    assert "File too large" in applied.stderr
    assert not desk.processes()
    assert not (desk.home / "state.json").exists()
    desk.apply()


def test_a_plan_that_nobody_can_take_is_an_error(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    with Path("/dev/full").open("w") as full:
        planned = subprocess.run(
            command_line("plan"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=desk.folder,
            env=environment(),
            check=False,
        )
    assert planned.returncode == 1
    assert planned.stderr.startswith("error: No space left on device\n")
    assert "Exception ignored" not in planned.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_are_closed_are_done_without(desk: Desk, closed: str) -> None:
    desk.spec({"d": "v1"})
    command = f"{shlex.join(command_line('plan', '--detailed-exitcode'))} {closed}"
    planned = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, cwd=desk.folder, env=environment(), check=False
    )
    assert planned.returncode == 2, planned


def test_a_terminal_of_few_characters_gets_those_that_it_has(desk: Desk) -> None:
    desk.write("kubeserve.yaml", "apiVersion: kubeserve.io/v1\ntenant: demo\nmodels: {größe: {}}\n")
    assert desk.run("validate", PYTHONIOENCODING="ascii:strict").err.startswith("kubeserve.yaml:3:10: error: ")
    for_programs = desk.run("validate", "-o", "json", PYTHONIOENCODING="ascii:strict")
    assert any("größe" in problem["detail"] for problem in for_programs.data["problems"]), "JSON is UTF-8 everywhere"


def test_a_reader_that_has_gone_is_no_error_to_tell(desk: Desk) -> None:
    desk.spec({f"d{number}": "v1" for number in range(500)})  # more than a pipe holds
    planning = desk.start("plan", "-o", "json")
    assert planning.stdout is not None
    assert planning.stderr is not None
    planning.stdout.readline()
    planning.stdout.close()
    assert planning.wait(PATIENCE_SECONDS) == 141
    assert planning.stderr.read() == ""


def test_a_repository_that_can_not_be_reached_is_named_without_its_credentials(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for command in ("validate", "plan"):
        done = desk.run(command, f"https://127.0.0.1:{port}/models.git")
        assert done.code == 1
        assert "error: " in done.err
        assert f"127.0.0.1:{port}" in done.err
        assert "Traceback" not in done.err
    refused = desk.run("plan", f"https://me:hunter2@127.0.0.1:{port}/models.git")
    assert refused.code == 1
    assert "hunter2" not in refused.err


def test_a_directory_that_may_not_be_written_can_be_read(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    desk.home.symlink_to("/nowhere/at/all")  # also for root, who may write everywhere else
    assert desk.run("validate").code == 0
    assert desk.run("plan").code == 0
    assert desk.run("status").code == 0
    for command in (["apply", "--yes"], ["destroy", "--yes"]):
        refused = desk.run(*command)
        assert refused.code == 1
        assert refused.err.startswith("error: Nothing can be kept here\n")
    desk.home.unlink()
