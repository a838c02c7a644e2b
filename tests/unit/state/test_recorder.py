"""Group commit: claims are on disk before `begin` returns, and what fails to be written is not lost silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.resources import deployment_id
from reconciler.state.file import StateFile
from reconciler.state.model import HISTORY_LENGTH, Phase, Record, RoundRecord, State, StateError
from reconciler.state.recorder import Recorder

CHURN = deployment_id("fraud", "churn")
ROUND = RoundRecord("1", "main", "", "", "succeeded")


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


def test_a_write_that_fails_is_raised_at_the_end_of_the_round(tmp_path: Path) -> None:
    class FullDisk(StateFile):
        full = False

        def save(self, state: State) -> None:
            if self.full:
                raise StateError("State file can't be written", "No space left on device.")
            super().save(state)

    file = FullDisk(tmp_path / "state.json", "default", "local")
    recorder = Recorder(file, file.load())
    recorder.begin({})
    file.full = True
    with pytest.raises(StateError):  # at the update that finds out, or at the end
        for _ in range(1000):
            recorder.update(CHURN, Record(Phase.READY))
        recorder.finish(ROUND)
