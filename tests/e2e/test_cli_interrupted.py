"""Ctrl-C and SIGTERM at any moment of a round: one plain line, a record, the lock free again, and nothing lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.support.cli.desk import DIES, SLEEPS, Desk, command_line, environment
from tests.support.cli.terminal import Terminal
from tests.support.patience import PATIENCE_SECONDS

RECORDED = "Interrupted. What was begun is recorded; the next apply goes on from there.\n"
UNCHANGED = "Interrupted. Nothing was changed.\n"


def at_a_terminal(desk: Desk, *arguments: str) -> Terminal:
    return Terminal(command_line(*arguments), desk.folder, environment())


def interrupted_at(desk: Desk, moment: str, number: signal.Signals, *arguments: str) -> str:
    """What an apply says that is interrupted once it has said `moment`."""
    applying = desk.start("apply", "--yes", *arguments)
    assert applying.stderr is not None
    said = ""
    while moment not in said:
        line = applying.stderr.readline()
        assert line, said
        said += line
    applying.send_signal(number)
    _, rest = applying.communicate(timeout=PATIENCE_SECONDS)
    assert applying.returncode == 130, said + rest
    return said + rest


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_round_that_waits_is_interrupted_recorded_and_gone_on_with(desk: Desk, number: signal.Signals) -> None:
    desk.predictor("v1", SLEEPS)
    desk.spec({"slow": "v1", "good": "v2"}, ["v1", "v2"])
    said = interrupted_at(desk, "deployment demo/good  Ready", number)
    assert said.endswith(RECORDED)
    assert "Traceback" not in said
    assert desk.state["rounds"][-1]["outcome"] == "interrupted"
    slow = desk.status("slow")
    assert (slow["phase"], slow["reason"]) == ("Progressing", "Interrupted")
    assert desk.status("good")["phase"] == "Ready"
    desk.spec({"slow": "v2", "good": "v2"}, ["v1", "v2"])
    desk.apply()
    assert desk.ask("slow") == ["v2"]
    assert len(desk.servers()) == 2
    assert desk.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.slow
def test_an_upload_is_interrupted_and_begun_anew(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    with (desk.folder / "v1/weights.bin").open("wb") as weights:
        weights.truncate(256 << 20)  # a hole: quick to make, and as long to upload as any
    said = interrupted_at(desk, "version demo/m/v1  uploading", signal.SIGINT)
    assert said.endswith(RECORDED)
    assert not list((desk.home / "store").rglob("manifest.json"))
    record = desk.state["resources"]["version/demo/m/v1"]
    assert (record["phase"], record["reason"]) == ("Progressing", "Interrupted")
    (desk.folder / "v1/weights.bin").unlink()
    desk.apply()
    assert desk.ask("d") == ["v1"]
    kept = [path.name for path in (desk.home / "store").rglob("*") if path.is_file() and path.stat().st_size]
    assert sorted(kept) == ["manifest.json", "model.tar"], "nothing half-written is left"


HANGS = """
import sys, time
from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.cli.root import main
from reconciler.targets.local.rollout import Rollout
from reconciler.targets.local.target import LocalTarget

{method} = lambda *_, **__: print("it hangs", file=sys.stderr, flush=True) or time.sleep(3600)
main()
"""


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("Rollout.ensure", RECORDED),
        ("LocalTarget.observe", UNCHANGED),
        ("FilesystemStore.list", UNCHANGED),  # in a thread that the end of the process would wait for
    ],
    ids=["executing", "planning", "in a thread"],
)
def test_what_hangs_is_left_behind_and_its_lock_is_free(desk: Desk, method: str, said: str) -> None:
    desk.spec({"d": "v1"})
    command = (sys.executable, "-c", HANGS.format(method=method), "apply", "--yes")
    with subprocess.Popen(command, cwd=desk.folder, env=environment(), stderr=subprocess.PIPE, text=True) as hanging:
        assert hanging.stderr is not None
        while hanging.stderr.readline() != "it hangs\n":
            assert hanging.poll() is None
        hanging.send_signal(signal.SIGINT)
        assert hanging.stderr.read().endswith(said)
    assert hanging.returncode == 130
    desk.apply()
    assert desk.ask("d") == ["v1"]


def test_a_removal_is_interrupted_and_gone_on_with(desk: Desk) -> None:
    desk.spec({"d": {"version": "v1", "replicas": 2}, "e": "v1"})
    desk.apply()
    destroying = desk.start("destroy", "--yes")
    assert destroying.stderr is not None
    while "removing d-" not in destroying.stderr.readline():
        pass
    destroying.send_signal(signal.SIGINT)
    destroying.communicate(timeout=PATIENCE_SECONDS)
    assert destroying.returncode in (0, 130), "or it had just ended"
    assert desk.run("destroy", "--yes").code == 0
    assert not desk.processes()


def test_a_question_is_asked_and_no_and_ctrl_c_change_nothing(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    answers: list[tuple[str, int, str]] = [("n\n", 1, "Nothing was changed."), ("\x03", 130, UNCHANGED.strip())]
    for answer, code, said in answers:
        with at_a_terminal(desk, "apply") as terminal:
            terminal.wait_for("Apply this plan? [y/N]:")
            terminal.type(answer)
            assert terminal.wait() == code
            assert said in terminal.screen[-2]
    assert not (desk.home / "state.json").exists()
    assert not desk.processes()


def test_a_terminal_shows_what_goes_on_and_keeps_what_ended(desk: Desk) -> None:
    desk.predictor("dies", DIES)
    desk.spec({"good": "v1", "bad": "dies"}, ["v1", "dies"])
    with at_a_terminal(desk, "apply") as terminal:
        terminal.wait_for("Apply this plan? [y/N]:")
        terminal.type("y\n")
        terminal.wait_for("waiting until it answers")
        assert terminal.wait() == 1
    screen = terminal.screen
    assert "deployment demo/good  Ready" in screen
    assert any(line.startswith("deployment demo/bad  Failed: version dies: ") for line in screen)
    assert screen[-2] == f"demo/good  {desk.status('good')['url']}"
    ended = screen[screen.index("tenant demo  Ready") :]
    assert not any("waiting" in line or "starting" in line or "━" in line for line in ended), "nothing drawn is left"
    assert "\x1b[32mReady" in terminal.output.decode()
    assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l"), "the cursor is there again"


def test_a_table_is_watched_on_the_other_screen_and_left_on_the_first(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    desk.apply()
    with at_a_terminal(desk, "status", "--watch") as terminal:
        terminal.wait_for("demo/d")
        terminal.type("\x03")
        assert terminal.wait() == 130
    watched, _, left = terminal.output.partition(b"\x1b[?1049l")
    assert watched.lstrip().startswith(b"\x1b[?1049h")
    assert b"\x1b[2J" not in watched, "no flicker"
    assert left.startswith(b"DEPLOYMENT")
    assert b"Interrupted" not in terminal.output


def test_colours_are_left_out_where_nobody_wants_them(desk: Desk) -> None:
    desk.spec({"d": "v9"}, ["v1"])
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        with Terminal(command_line("validate"), desk.folder, environment(**variables)) as terminal:
            assert terminal.wait() == 1
        assert ("\x1b[31merror:" in terminal.output.decode()) is coloured, variables


@pytest.mark.slow
def test_progress_is_lines_where_there_is_no_terminal(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    applied = desk.apply("-o", "json")
    assert "\x1b" not in applied.err
    assert json.loads(applied.out)["exitCode"] == 0
    assert [line for line in applied.err.splitlines() if line.startswith("deployment")] == [
        "deployment demo/d  waiting for m/v1",
        f"deployment demo/d  starting {desk.status('d')['variants'][0]['name']} (version v1)",
        "deployment demo/d  waiting until it answers",
        "deployment demo/d  moving traffic",
        "deployment demo/d  Ready",
    ]
