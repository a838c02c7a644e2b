"""Commands in a directory whose `.kubeserve/` is another user's, or was: refused before anything is changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli.desk import Desk, desk_at
from tests.support.local.users import as_root, give_away

COMMANDS = (["plan"], ["status"], ["apply", "--yes"], ["destroy", "--yes"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_at(tmp_path) as desk:
        yield desk


def content(folder: Path) -> dict[str, tuple[int, int]]:
    """Path -> owner and time of change, of everything in a folder."""
    return {str(path): (path.lstat().st_uid, path.lstat().st_ctime_ns) for path in [folder, *folder.rglob("*")]}


@as_root
@pytest.mark.parametrize("command", COMMANDS)
def test_root_in_another_users_folder_changes_nothing(desk: Desk, command: list[str]) -> None:
    desk.spec({"d": "v1"})
    (desk.home / "run").mkdir(parents=True)
    give_away(desk.home)
    before = content(desk.home)
    refused = desk.run(*command)
    assert refused.code == 1
    assert refused.err.startswith("error: KubeServe's folder belongs to another user\n")
    assert "sudo -u nobody kubeserve apply" in refused.err
    assert content(desk.home) == before
    said = desk.run("doctor").out
    assert "KubeServe's folder belongs to another user" in said


@as_root
def test_marks_that_somebody_planted_end_no_process(desk: Desk) -> None:
    """Root's own process, named by a mark in a folder that was open to others and was closed since."""
    import psutil

    desk.spec({"d": "v1"})
    assert desk.run("apply", "--yes").code == 0
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]) as victim:
        started = psutil.Process(victim.pid).create_time()
        (variant,) = (desk.home / "run/tenants").glob("*/variants/*")
        planted = variant / "replicas" / "planted" / "start.json"
        planted.parent.mkdir()
        planted.write_text(f'{{"pid": {victim.pid}, "started": {started}}}')
        desk.run("apply", "--yes")
        assert desk.run("destroy", "--yes").code == 0
        assert victim.poll() is None
        victim.kill()


def test_a_deployment_whose_run_folder_somebody_deleted_is_listed_as_not_serving(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    assert desk.run("apply", "--yes").code == 0
    shutil.rmtree(desk.home / "run")
    status = desk.run("status", "-o", "json").data["deployments"]
    assert [(s["deployment"], s["phase"], s["reason"]) for s in status] == [("d", "Failed", "NotReachable")]
    assert "deployment d" in desk.run("plan").out
    assert desk.run("apply", "--yes").code == 0
    status = desk.run("status", "-o", "json").data["deployments"]
    assert [s["phase"] for s in status] == ["Ready"]


def test_a_working_directory_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    from tests.support.cli.desk import command_line, environment

    for command in (["validate"], ["plan"], ["apply", "--yes"]):
        gone = tmp_path / "gone"
        gone.mkdir()
        line = " ".join(command_line(*command))
        done = subprocess.run(
            ["sh", "-c", f"cd {gone} && rmdir {gone} && exec {line}"],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: The working directory is gone\n")
