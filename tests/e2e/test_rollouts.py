"""Make before break: new versions take over without one lost request, and broken ones never take over at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cli.desk import DIES, RAISES, SLEEPS, Desk
from tests.support.network.load import load_on

ROLLOUTS = 10
VERSIONS = ("v1", "v2")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # seconds; each takes a tenth of that on a machine of its own


def test_ten_rollouts_under_load_lose_no_request(desk: Desk) -> None:
    desk.spec({"d": "v1"}, VERSIONS)
    desk.apply()
    with load_on(f"{desk.status('d')['url']}/predict") as load:
        for number in range(ROLLOUTS):
            desk.spec({"d": VERSIONS[(number + 1) % 2]}, VERSIONS)
            desk.apply()
    assert load.failures == []
    assert load.answers.keys() == {f'{{"predictions":["{version}"]}}' for version in VERSIONS}
    assert desk.ask("d") == [VERSIONS[ROLLOUTS % 2]]
    assert len(desk.servers()) == 1


def test_changing_replicas_and_traffic_under_load_loses_no_request(desk: Desk) -> None:
    desk.spec({"d": "v1"}, VERSIONS)
    desk.apply()
    shapes: list[dict[str, Any]] = [
        {"version": "v1", "replicas": 2},
        {"traffic": {"v1": 50, "v2": 50}},
        {"version": "v2", "env": {"LEVEL": "debug"}},
    ]
    with load_on(f"{desk.status('d')['url']}/predict") as load:
        for shape in shapes:
            desk.spec({"d": shape}, VERSIONS)
            desk.apply()
    assert load.failures == []
    assert len(desk.servers()) == 1


def test_a_rollout_that_fails_keeps_the_old_version_and_says_why(desk: Desk) -> None:
    desk.predictor("raises", RAISES)
    desk.predictor("sleeps", SLEEPS)
    desk.predictor("dies", DIES)
    versions = ("v1", "v2", "raises", "sleeps", "dies")
    desk.spec({"d": "v1"}, versions)
    desk.apply()
    check = {"inputs": [[1]], "outputs": ["v1"]}
    broken: list[tuple[dict[str, Any], str, str]] = [
        ({"version": "raises"}, "NotReady", "RuntimeError: the weights are missing"),
        ({"version": "sleeps", "timeouts": {"ready": "2s"}}, "Timeout", "not ready within 2 s"),
        ({"version": "v2", "checks": [check]}, "NotReady", "check 1"),
        (
            {"version": "dies"},
            "NotReady",
            "The process was killed: by the system, for lack of memory, or from outside (SIGKILL)",
        ),
    ]
    for shape, reason, cause in broken:
        desk.spec({"d": shape}, versions)
        applied = desk.apply(code=3)
        assert "deployment/demo/d is Degraded: " in applied.err
        status = desk.status("d")
        assert (status["phase"], status["reason"]) == ("Degraded", reason), status
        assert cause in status["message"], status
        assert cause in applied.err
        assert [variant["version"] for variant in status["variants"]] == ["v1"]
        assert desk.ask("d") == ["v1"]
        assert len(desk.servers()) == 1, "what failed is gone"
        retried = desk.run("plan")
        assert "r   deployment d  (retry: " in retried.out
        assert "Plan: 1 to retry, " in retried.out
    desk.spec({"d": "v2"}, versions)
    desk.apply()
    assert (desk.status("d")["phase"], desk.ask("d")) == ("Ready", ["v2"])
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_what_failed_last_is_quoted_and_kept_to_be_read(desk: Desk) -> None:
    desk.predictor("raises", RAISES)
    desk.spec({"d": "raises"}, ("v1", "raises"))
    applied = desk.apply(code=1)
    quoted = [line.removeprefix("  | ") for line in applied.err.splitlines() if line.startswith("  | ")]
    assert len(quoted) == 10
    assert "loading layer 29" in quoted
    assert "More: kubeserve logs --failed demo/d" in applied.err
    status = desk.status("d")
    assert (status["phase"], status["variants"]) == ("Failed", [])
    assert len(status["log"]) == 20
    kept = desk.run("logs", "--failed", "d").out.splitlines()
    assert "loading layer 0" in kept, "more than was quoted"
    assert len(desk.run("logs", "--failed", "d", "-n", "3").out.splitlines()) == 3
    assert desk.apply(code=1).code == 1
    assert desk.state["resources"]["deployment/demo/d"]["attempts"] == 2
    desk.spec({"d": "v1"}, ("v1", "raises"))
    desk.apply()
    assert desk.ask("d") == ["v1"]


def test_one_that_fails_keeps_no_other_from_its_rollout(desk: Desk) -> None:
    desk.predictor("raises", RAISES)
    desk.spec({"bad": "raises", "good": "v1"}, ("v1", "raises"))
    applied = desk.apply(code=1)
    assert "2 deployments: 1 Failed, 1 Ready." in applied.err
    assert applied.out.endswith(f"demo/good  {desk.status('good')['url']}\n")
    assert desk.ask("good") == ["v1"]
