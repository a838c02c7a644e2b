"""A model that hangs, from the request that it never answers to the replica that is started again in its place."""

from __future__ import annotations

import threading

import httpx2
import pytest

from tests.support.cli.desk import Desk
from tests.support.patience import eventually

HANGS = """
    import os
    import time

    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            while inputs[0] == "hang":
                time.sleep(0.01)
            return [os.getpid() for _ in inputs]
"""
LIMIT_SECONDS = 5


@pytest.mark.slow
def test_a_replica_whose_model_hangs_is_not_ready_says_why_and_is_started_again_in_place(desk: Desk) -> None:
    desk.predictor("v1", HANGS)
    desk.spec({"d": {"version": "v1", "replicas": 2, "timeouts": {"request": f"{LIMIT_SECONDS}s"}}})
    desk.apply()
    supervisors = {process.pid for process in desk.servers()}
    url = f"{desk.status('d')['url']}/predict"
    eventually(lambda: len(_answering(desk)) == 2, "one of the replicas never answers")
    before = _answering(desk)

    hanging = threading.Thread(target=lambda: httpx2.post(url, json={"inputs": ["hang"]}, timeout=60))
    hanging.start()
    waiting = eventually(lambda: (s := desk.status("d"))["reason"] == "NotReady" and s, "status still says Ready")
    assert waiting["phase"] == "Degraded"
    assert waiting["message"].startswith("Only 1 of 2 replicas of version v1 are ready: ")
    assert f"more than the limit of {LIMIT_SECONDS} s, in predictor.py line " in waiting["message"]
    (other,) = _answering(desk)
    assert other in before
    hanging.join()

    eventually(lambda: desk.status("d")["phase"] == "Ready", "the replica was not started again")
    eventually(lambda: len(_answering(desk)) == 2, "the replica that was started again never answers")
    assert _answering(desk) & before == {other}
    assert {process.pid for process in desk.servers()} & supervisors == supervisors
    assert "Nothing to do" in desk.run("plan").out


def _answering(desk: Desk) -> set[int]:
    """The processes that answer several requests in a row."""
    return {pid for _ in range(6) for pid in desk.ask("d")}
