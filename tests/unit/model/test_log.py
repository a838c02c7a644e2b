"""The log: silent until it is started, bound to what it is about, and safe to show."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from reconciler import log
from reconciler.model.resources import deployment_id, tenant_id
from reconciler.model.text import TerminalText

LOG = log.Log().bind(round="r-1")


@pytest.fixture
def lines() -> Iterator[list[TerminalText]]:
    written: list[TerminalText] = []
    log.start(written.append, logging.INFO)
    yield written
    log.stop()


def test_an_event_carries_what_is_bound(lines: list[TerminalText]) -> None:
    LOG.about(deployment_id("fraud", "churn")).info("moving traffic", weight=90)
    (line,) = lines
    assert "info" in line
    assert "moving traffic" in line
    for pair in ("round=r-1", "tenant=fraud", "deployment=churn", "weight=90"):
        assert pair in line.split()


@pytest.mark.parametrize(("value", "shown"), [("main at 3f2a1bc", '"main at 3f2a1bc"'), ('a"b', '"a\\"b"'), ("", '""')])
def test_a_value_with_blanks_is_quoted(lines: list[TerminalText], value: str, shown: str) -> None:
    LOG.info("desired", revision=value)
    assert lines[0].endswith(f"revision={shown}")


def test_a_tenant_is_bound_once(lines: list[TerminalText]) -> None:
    LOG.about(tenant_id("fraud")).warning("provisioning")
    assert lines[0].count("fraud") == 1


def test_less_than_the_level_is_left_out_and_nothing_is_written_after_the_end(lines: list[TerminalText]) -> None:
    LOG.debug("a detail")
    log.stop()
    LOG.warning("too late")
    assert lines == []


@pytest.mark.parametrize("text", ["\x1b[2Jgone", "one\ntwo", "‮desrever", "##[error]no", "bell\x07"])
def test_foreign_text_stays_one_visible_line(lines: list[TerminalText], text: str) -> None:
    LOG.info(text, value=text, **{"name": text})
    (line,) = lines
    assert "\n" not in line
    assert "##[" not in line
    assert line.isprintable()


def test_a_traceback_has_a_line_for_each_of_its_own_and_is_as_safe(lines: list[TerminalText]) -> None:
    try:
        raise ValueError("\x1b[2Jgone")
    except ValueError as error:
        LOG.info("failed", error=error)
    (text,) = lines
    assert "Traceback (most recent call last):" in text
    assert "\x1b" not in text


def test_colours_are_for_terminals() -> None:
    written: list[TerminalText] = []
    log.start(written.append, logging.INFO, coloured=True)
    LOG.info("moving traffic")
    log.stop()
    assert "\x1b[1mmoving traffic\x1b[0m" in written[0]


def test_a_quiet_log_loads_no_library() -> None:
    program = "import sys, reconciler.log; reconciler.log.Log().info('x'); print('structlog' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
