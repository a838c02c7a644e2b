"""What stands between a command and its terminal: colours, progress, and the ways to end."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click
import pytest
from rich.console import Console

from reconciler.cli import console, live, progress
from reconciler.cli.endings import ending
from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.naming import NamingError, find_deployment
from reconciler.engine.run import Event
from reconciler.model.resources import ResourceId, deployment_id, version_id
from reconciler.model.text import styled
from reconciler.plan.model import Action, Change, Plan
from reconciler.state.model import Phase, Record, State
from reconciler.targets.protocol import Live, LiveRoute
from reconciler.workspace import Workspace

CHURN = deployment_id("fraud", "churn")
VERSION = version_id("fraud", "churn", "v1")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert console.coloured(Terminal()) is coloured
    assert not console.coloured(io.StringIO())


def test_a_table_lines_up_whatever_colours_its_cells_have() -> None:
    rows = [("NAME", "PHASE", "URL"), ("a", "Ready", "u"), ("longer", "Progressing", "v")]
    painted = console.table(rows, {1: lambda cell: styled(cell, "bold")})
    plain = click.unstyle(painted).splitlines()
    assert [line.index(word) for line, word in zip(plain, ("URL", "u", "v"), strict=True)] == [21, 21, 21]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (click.exceptions.Exit(7), 7),
        (click.UsageError("no"), ExitCode.USAGE),
        (click.Abort(), ExitCode.INTERRUPTED),
        (EOFError(), ExitCode.INTERRUPTED),
        (BrokenPipeError(), ExitCode.PIPE_CLOSED),
        (NamingError("no"), ExitCode.FAILED),
        (PermissionError(13, "Permission denied", "x"), ExitCode.FAILED),
        (RuntimeError("oh"), ExitCode.FAILED),
    ],
)
def test_every_ending_has_its_code(error: BaseException, code: int) -> None:
    assert ending(error, 0) == code


def test_who_reads_no_more_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    ending(BrokenPipeError(), 0)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_each_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress(plan()) as listen:
        for each in EVENTS:
            listen(each)
    assert capsys.readouterr().err.splitlines() == [
        "version fraud/churn/v1  uploading",
        "version fraud/churn/v1  Ready",
        "deployment fraud/churn  waiting until it answers",
        "deployment fraud/churn  Failed: version v1: no [weights]",
    ]


def event(resource: ResourceId, text: str = "", *, sent: int = 0, phase: Phase | None = None) -> Event:
    return Event("a-round", datetime(2026, 11, 24, tzinfo=UTC), resource, text, sent, phase)


EVENTS = (
    event(VERSION, "uploading"),
    event(VERSION, sent=600),
    event(VERSION, sent=400),
    event(VERSION, phase=Phase.READY),
    event(CHURN, "waiting until it answers"),
    event(CHURN, "version v1: no [weights]", phase=Phase.FAILED),
)


def plan() -> Plan:
    return Plan((Change(VERSION, Action.CREATE, size=1000), Change(CHURN, Action.CREATE)))


def test_on_a_terminal_what_is_under_way_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(live, "Console", lambda **_: Console(file=screen, force_terminal=True, width=80, height=24))
    with live.live_round(plan()) as listen:
        for each in EVENTS[:3]:
            listen(each)
        drawn = rendered(listen)
        assert "version fraud/churn/v1" in drawn
        assert "100% of 1000 B" in drawn
        for each in EVENTS[3:]:
            listen(each)
        assert "fraud" not in rendered(listen)
    lines = click.unstyle(screen.getvalue()).splitlines()
    assert any(line.endswith("version fraud/churn/v1  Ready") for line in lines)
    assert any(line.endswith("deployment fraud/churn  Failed: version v1: no [weights]") for line in lines)


def test_more_than_fits_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(live, "Console", lambda **_: Console(file=screen, force_terminal=True, width=80, height=8))
    with live.live_round(Plan(())) as listen:
        for number in range(20):
            listen(event(deployment_id("fraud", f"d{number}"), "waiting"))
        lines = rendered(listen).splitlines()
    assert len(lines) == 6
    assert lines[-1].strip() == "… and 15 more"


def rendered(listen: object) -> str:
    """What the bars draw at this moment."""
    drawn = io.StringIO()
    Console(file=drawn, width=80).print(cast(Any, listen)._bars.get_renderable())
    return drawn.getvalue()


def deployed(recorded: Sequence[ResourceId], running: Sequence[ResourceId] = ()) -> Workspace:
    """As much of a workspace as naming asks for."""
    return cast(Workspace, _Deployed(recorded, running))


class _Deployed:
    def __init__(self, recorded: Sequence[ResourceId], running: Sequence[ResourceId]) -> None:
        self.state_file = self.target = self
        self._recorded = recorded
        self._running = running

    def load(self) -> State:
        return State("x", resources=dict.fromkeys(self._recorded, Record(Phase.READY)))

    def observe(self, _: object) -> Live:
        return Live.of(LiveRoute(r, "") for r in self._running)


def test_a_deployment_is_named_with_or_without_its_tenant() -> None:
    here = deployed([CHURN, deployment_id("search", "rank")])
    assert find_deployment(here, "rank") == deployment_id("search", "rank")
    assert find_deployment(here, "fraud/churn") == CHURN


def test_what_the_record_does_not_know_is_found_among_what_runs() -> None:
    assert find_deployment(deployed([], [CHURN]), "churn") == CHURN


def test_a_name_that_two_tenants_have_is_asked_back() -> None:
    here = deployed([CHURN, deployment_id("search", "churn")])
    with pytest.raises(NamingError, match=r"may be fraud/churn and search/churn\. Name one as TENANT/DEPLOYMENT"):
        find_deployment(here, "churn")
    assert find_deployment(here, "search/churn").tenant == "search"


def test_a_name_that_nobody_has_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(NamingError, match=r"no 'chrun' here, but fraud/churn\. Did you mean 'churn'\?"):
        find_deployment(deployed([CHURN]), "chrun")


def test_stdout_that_can_not_be_written_to_ends_in_a_plain_error(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.cli.root import run

    monkeypatch.chdir(tmp_path)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert run(["version"]) == ExitCode.FAILED
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    assert "error: No space left on device" in capfd.readouterr().err
