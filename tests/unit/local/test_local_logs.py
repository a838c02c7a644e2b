from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.targets.local.logs import Follower, last_lines, merged, said


def test_the_last_lines_reach_back_into_older_parts(tmp_path: Path) -> None:
    (tmp_path / "log.2").write_text("one\n")
    (tmp_path / "log.1").write_text("two\nthree\n")
    (tmp_path / "log").write_text("four\n")
    assert last_lines(tmp_path / "log", 3) == ["two", "three", "four"]
    assert last_lines(tmp_path / "log", 9) == ["one", "two", "three", "four"]


def test_no_log_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "log", 3) == []


def test_a_line_without_an_end_and_bytes_that_are_no_text_are_shown(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\r\nlast")
    assert last_lines(tmp_path / "log", 3) == ["\ufffd", "last"]


def test_what_died_before_it_had_a_log_is_quoted_from_its_output(tmp_path: Path) -> None:
    log, output = tmp_path / "log", tmp_path / "output"
    output.write_text("No module named runtime\n")
    assert said(log, output, 3) == ["No module named runtime"]
    log.write_text("started\n")
    assert said(log, output, 3) == ["started"]


def test_following_yields_complete_new_lines_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    follower = Follower(log)
    assert list(follower.new_lines()) == []
    with log.open("a") as stream:
        stream.write("one\ntw")
    assert list(follower.new_lines()) == ["one"]
    with log.open("a") as stream:
        stream.write("o\n")
    assert list(follower.new_lines()) == ["two"]


def test_following_goes_on_across_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    follower = Follower(log)
    with log.open("a") as stream:
        stream.write("before\n")
    log.rename(tmp_path / "log.1")
    log.write_text("after\n")
    assert list(follower.new_lines()) == ["before", "after"]
    assert list(follower.new_lines()) == []


def test_a_log_that_comes_later_is_followed_from_its_start(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "log")
    assert list(follower.new_lines()) == []
    (tmp_path / "log").write_text("first\n")
    assert list(follower.new_lines()) == ["first"]


def test_following_several_logs_ends_when_all_of_them_are_gone(tmp_path: Path) -> None:
    logs = [tmp_path / name / "log" for name in ("a", "b")]
    for log in logs:
        log.parent.mkdir()
        log.write_text("")
    followed = merged([(f"[{log.parent.name}] ", Follower(log)) for log in logs])
    logs[1].write_text("hello\n")
    assert next(followed) == "[b] hello"
    for log in logs:
        log.unlink()
        log.parent.rmdir()
    with pytest.raises(StopIteration):
        next(followed)
