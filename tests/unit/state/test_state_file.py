"""The state file: read back as written, atomic, and clear about what it can't use."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.resources import Kind, ResourceId
from reconciler.state.file import StateFile
from reconciler.state.model import Phase, Record, RoundRecord, State, StateError, Verdict, from_bytes, to_bytes

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=10)
IDS = st.one_of(
    st.builds(ResourceId, st.just(Kind.TENANT), NAMES),
    st.builds(ResourceId, st.sampled_from([Kind.DEPLOYMENT, Kind.VARIANT, Kind.VERSION]), NAMES, NAMES),
)
RECORDS = st.builds(Record, phase=st.sampled_from(Phase), message=st.text(max_size=40), attempts=st.integers(0, 9))


@given(st.dictionaries(IDS, RECORDS))
def test_a_state_is_read_back_as_it_was_written(resources: dict[ResourceId, Record]) -> None:
    rounds = (RoundRecord("1", "main", "a", "b", Verdict.SUCCEEDED, {"create": 2}),)
    state = State("lineage", 7, "prod", "local", resources, rounds)
    assert from_bytes(to_bytes(state), "state.json") == state


def test_without_a_file_the_state_is_new_and_of_its_own_lineage(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", "default", "local")
    assert file.load().resources == {}
    assert file.load().lineage != file.load().lineage


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"version": 1}', b"\xff\xfe", b'{"version": "1"}'])
def test_what_is_no_state_file_is_refused_with_advice(content: bytes) -> None:
    with pytest.raises(StateError) as caught:
        from_bytes(content, "state.json")
    assert "Move it away" in caught.value.detail


def test_a_newer_state_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError) as caught:
        from_bytes(b'{"version": 99}', "state.json")
    assert caught.value.summary == "State file is of a newer KubeServe"


def test_another_installations_state_file_is_refused(tmp_path: Path) -> None:
    StateFile(tmp_path / "state.json", "prod", "local").save(State.new("prod", "local"))
    with pytest.raises(StateError) as caught:
        StateFile(tmp_path / "state.json", "default", "local").load()
    assert "'prod'" in caught.value.detail


def test_the_file_is_its_owners_and_no_temporary_file_stays(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "deep" / "state.json", "default", "local")
    file.save(State.new("default", "local"))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [p.name for p in file.path.parent.iterdir()] == ["state.json"]


def test_a_folder_in_its_place_is_an_error_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    file = StateFile(tmp_path / "state.json", "default", "local")
    with pytest.raises(StateError):
        file.load()
    with pytest.raises(StateError):
        file.save(State.new("default", "local"))
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_link_stays_a_link_to_the_one_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "state.json", tmp_path / "state.json"
    real.parent.mkdir()
    link.symlink_to(real)
    for _ in range(2):
        StateFile(link, "default", "local").save(State.new("default", "local"))
    assert link.is_symlink()
    assert StateFile(real, "default", "local").load() == StateFile(link, "default", "local").load()


def test_a_link_to_itself_is_an_error_in_plain_words(tmp_path: Path) -> None:
    link = tmp_path / "state.json"
    link.symlink_to(link)
    with pytest.raises(StateError):
        StateFile(link, "default", "local").load()


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".state.json.new").write_bytes(b"{" * 10_000)
    file = StateFile(tmp_path / "state.json", "default", "local")
    file.save(State.new("default", "local"))
    assert file.load().serial == 0
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StateFile(tmp_path / "state.json", "default", "local")
    file.save(State("born", 1, "default", "local"))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError) as caught:
        file.save(State("born", 2, "default", "local"))
    assert "No space left on device" in caught.value.detail
    assert file.load().serial == 1
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_the_folder_is_synced_after_the_file_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def seen(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "state.json").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    StateFile(tmp_path / "state.json", "default", "local").save(State.new("default", "local"))
    assert synced == [(False, False), (True, True)]
