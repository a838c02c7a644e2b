"""kill -9 at any moment of a round; the next apply ends where one that lived would have ended, and nothing leaks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.cli.desk import Desk, desk_at, environment
from tests.support.local.bench import kill_and_wait
from tests.support.patience import PATIENCE_SECONDS

KILLED_AT = """
import os, sys
from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.cli.root import run
from reconciler.state.file import StateFile
from reconciler.targets.local.rollout import Rollout

holder, method, moment = sys.argv[1:4]
kinds = {"rollout": Rollout, "store": FilesystemStore, "state": StateFile}
original = getattr(kinds[holder], method)

def dying(*arguments, **named):
    if moment == "before":
        os.kill(os.getpid(), 9)
    original(*arguments, **named)
    os.kill(os.getpid(), 9)

setattr(kinds[holder], method, dying)
run(sys.argv[4:])
"""
"""Runs a command that is killed when it calls something for the first time, or when that has just returned."""

MOMENTS = [
    ("state", "save", "before"),
    ("state", "save", "after"),  # claimed, and nothing made
    ("store", "put", "after"),
    ("rollout", "ensure", "after"),
    ("rollout", "readiness", "after"),
    ("rollout", "route", "before"),
    ("rollout", "route", "after"),
    ("rollout", "remove", "before"),
    ("rollout", "remove", "after"),
]
SEED = 4
RANDOM_KILLS = 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # seconds; each takes a tenth of that on a machine of its own


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_at(tmp_path) as desk:
        desk.spec({"d": "v1"})
        desk.apply()
        yield desk


def kill_at(desk: Desk, moment: tuple[str, str, str], *command: str) -> None:
    died = subprocess.run(
        [sys.executable, "-c", KILLED_AT, *moment, *command],
        cwd=desk.folder,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died


def assert_as_if_nobody_had_died(desk: Desk, served: Mapping[str, str]) -> None:
    """One server for each deployment, one gateway, a record of each that is Ready, and nothing left to do."""
    for deployment, version in served.items():
        assert desk.ask(deployment) == [version]
    assert len(desk.servers()) == len(served)
    assert len(desk.processes()) == len(served) + 1
    planned = desk.run("plan", "-o", "json").data
    assert planned["empty"], planned
    assert planned["unclaimed"] == []
    records = {name: record["phase"] for name, record in desk.state["resources"].items()}
    assert set(records.values()) == {"Ready"}, records
    deployments = {name for name in records if name.startswith("deployment/")}
    assert deployments == {f"deployment/demo/{deployment}" for deployment in served}
    assert sum(name.startswith("variant/") for name in records) == len(served), records


def test_killed_at_every_step_in_turn(desk: Desk) -> None:
    """Each round replaces d by a version that is new, and makes or deletes e beside it."""
    old = "v1"
    for number, moment in enumerate(MOMENTS, start=2):
        new = f"v{number}"
        served = {"d": new} if number % 2 else {"d": new, "e": "v1"}
        desk.spec(served, ["v1", new])
        kill_at(desk, moment, "apply", "--yes")
        assert desk.ask("d") in ([old], [new]), "what served goes on"
        desk.apply()
        assert_as_if_nobody_had_died(desk, served)
        old = new


def test_killed_again_and_again_at_moments_that_nobody_chose(desk: Desk) -> None:
    chance = random.Random(SEED)
    desk.spec({"d": "v2", "e": "v1"}, ["v1", "v2"])
    for _ in range(RANDOM_KILLS):
        applying = desk.start("apply", "--yes")
        try:
            applying.wait(chance.uniform(0.3, 3.0))  # chooses the moment; the outcome is the same whichever it is
        except subprocess.TimeoutExpired:
            os.kill(applying.pid, signal.SIGKILL)
            applying.wait()
        assert desk.ask("d") in (["v1"], ["v2"])
    desk.apply()
    assert_as_if_nobody_had_died(desk, {"d": "v2", "e": "v1"})


def test_a_removal_that_was_killed_is_ended_by_the_next(desk: Desk) -> None:
    kill_at(desk, ("rollout", "remove", "after"), "destroy", "--yes")
    assert desk.run("destroy", "--yes").code == 0
    assert not desk.processes()
    assert desk.state["resources"] == {}


def test_the_record_the_gateway_and_a_server_lost_in_the_middle(desk: Desk) -> None:
    desk.spec({"d": "v2", "e": "v1"}, ["v1", "v2"])
    kill_at(desk, ("rollout", "route", "after"), "apply", "--yes")
    (desk.home / "state.json").unlink()
    kill_and_wait(desk.gateway())
    kill_and_wait(desk.servers()[0])
    desk.apply("--prune-unclaimed")
    assert_as_if_nobody_had_died(desk, {"d": "v2", "e": "v1"})
