"""Group commit: claims are on disk before `begin` returns, and what fails to be written is not lost silently."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reconciler.model.resources import deployment_id
from reconciler.state.file import StateFile
from reconciler.state.model import HISTORY_LENGTH, Phase, Record, RoundRecord, State, StateError, Verdict
from reconciler.state.recorder import Recorder

CHURN = deployment_id("fraud", "churn")
ROUND = RoundRecord("1", "main", "", "", Verdict.SUCCEEDED)


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state.json", "default", "local")


def test_claims_are_on_disk_when_begin_returns(file: StateFile) -> None:
    recorder = Recorder(file, file.load())
    recorder.begin({CHURN: Record(Phase.PROGRESSING)})
    assert file.load().resources[CHURN].phase is Phase.PROGRESSING
    recorder.finish(ROUND)


def test_what_was_updated_is_on_disk_when_finish_returns(file: StateFile) -> None:
    recorder = Recorder(file, file.load())
    recorder.begin({})
    recorder.update(CHURN, Record(Phase.READY, url="http://x"))
    recorder.finish(ROUND)
    state = file.load()
    assert state.resources[CHURN].url == "http://x"
    assert [r.id for r in state.rounds] == ["1"]


def test_the_serial_grows_with_every_round_and_the_lineage_stays(file: StateFile) -> None:
    states = []
    for _ in range(2):
        recorder = Recorder(file, file.load())
        recorder.begin({})
        states.append(recorder.finish(ROUND))
    assert states[0].serial < states[1].serial
    assert states[0].lineage == states[1].lineage


def test_the_history_is_bounded(file: StateFile) -> None:
    for _ in range(HISTORY_LENGTH + 3):
        recorder = Recorder(file, file.load())
        recorder.begin({})
        recorder.finish(ROUND)
    assert len(file.load().rounds) == HISTORY_LENGTH


class Disk(StateFile):
    """Full while `full` is set; keeps what of each write got through."""

    full = False
    writes = 0

    def save(self, state: State) -> None:
        if self.full:
            raise StateError("State file can't be written", "No space left on device.")
        super().save(state)
        self.writes += 1


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "state.json", "default", "local")


def test_a_disk_that_stays_full_stops_nobody_and_is_told_at_the_end(disk: Disk) -> None:
    recorder = Recorder(disk, disk.load())
    recorder.begin({})
    disk.full = True
    for _ in range(100):
        recorder.update(CHURN, Record(Phase.READY))
    with pytest.raises(StateError) as caught:
        recorder.finish(ROUND)
    assert "No space left on device" in caught.value.detail
    assert "the next round records how it is" in caught.value.detail


def test_a_disk_that_is_full_for_a_moment_loses_nothing(disk: Disk) -> None:
    recorder = Recorder(disk, disk.load())
    recorder.begin({})
    disk.full = True
    for _ in range(100):
        recorder.update(CHURN, Record(Phase.READY, message="done"))
    disk.full = False
    recorder.finish(ROUND)
    assert disk.load().resources[CHURN].message == "done"


def test_nothing_may_be_done_where_nothing_can_be_recorded(disk: Disk) -> None:
    disk.full = True
    with pytest.raises(StateError):
        Recorder(disk, disk.load()).begin({CHURN: Record(Phase.PROGRESSING)})
    disk.full = False
    Recorder(disk, disk.load()).begin({})


def test_two_rounds_can_not_share_a_state_file(file: StateFile) -> None:
    first, second = (Recorder(StateFile(file.path, "default", "local"), file.load()) for _ in range(2))
    first.begin({})
    with pytest.raises(StateError) as caught:
        second.begin({})
    assert caught.value.summary == "Another round writes the state file"
    first.finish(ROUND)
    with pytest.raises(StateError) as caught:
        second.begin({})
    assert caught.value.summary == "State file has changed since the plan was made"
    Recorder(file, file.load()).begin({})


def test_leftovers_go_with_the_first_write(file: StateFile) -> None:
    recorder = Recorder(file, file.load())
    recorder.begin({CHURN: Record(Phase.READY)})
    recorder.finish(ROUND)
    recorder = Recorder(file, file.load())
    recorder.begin({}, [CHURN])
    assert CHURN not in file.load().resources
    recorder.finish(ROUND)


def test_a_slow_disk_gets_one_write_for_all_that_changed_meanwhile(tmp_path: Path) -> None:
    writing, go_on = threading.Event(), threading.Event()

    class SlowDisk(Disk):
        def save(self, state: State) -> None:
            if self.writes == 1:  # the first one of the writer's own thread
                writing.set()
                assert go_on.wait(30)
            super().save(state)

    disk = SlowDisk(tmp_path / "state.json", "default", "local")
    recorder = Recorder(disk, disk.load())
    recorder.begin({})
    recorder.update(CHURN, Record(Phase.PROGRESSING))
    assert writing.wait(30)
    for number in range(1000):
        recorder.update(deployment_id("fraud", f"d{number}"), Record(Phase.READY))
    go_on.set()
    recorder.finish(ROUND)
    assert disk.writes <= 4, "the claims, the slow one, at most one behind it, and the end"
    assert len(disk.load().resources) == 1001
