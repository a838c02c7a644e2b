"""Fifty models that never start hold up neither the fifty-first nor who wants to stop waiting."""

from __future__ import annotations

import signal

import pytest

from reconciler.engine.execute import WORKERS
from tests.support.cli.desk import SLEEPS, Desk
from tests.support.patience import PATIENCE_SECONDS, eventually

WAITING = 50

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # seconds; each takes a tenth of that on a machine of its own


def test_fifty_that_never_get_ready_do_not_delay_the_one_behind_them(desk: Desk) -> None:
    assert WORKERS < WAITING
    desk.predictor("sleeps", SLEEPS)
    never = {f"never-{number}": {"version": "sleeps", "timeouts": {"ready": "1h"}} for number in range(WAITING)}
    desk.spec({**never, "last": "v1"}, ("v1", "sleeps"))
    applying = desk.start("apply", "--yes")
    assert applying.stderr is not None
    ended = []
    for line in iter(applying.stderr.readline, ""):
        ended += [line] if line.startswith("deployment") and ("Ready" in line or "Failed" in line) else []
        if ended:
            break
    assert ended == ["deployment demo/last  Ready\n"]
    eventually(lambda: desk.state["resources"]["deployment/demo/last"]["url"], "its record")
    assert desk.ask("last") == ["v1"]
    assert applying.poll() is None
    eventually(lambda: len(desk.servers()) == WAITING + 1, "the start of all, which then wait")
    applying.send_signal(signal.SIGINT)
    assert applying.wait(PATIENCE_SECONDS) == 130
    phases = {name: record["phase"] for name, record in desk.state["resources"].items() if "deployment" in name}
    assert phases.pop("deployment/demo/last") == "Ready"
    assert set(phases.values()) == {"Progressing"}
