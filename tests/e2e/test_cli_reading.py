"""The commands that read, over what one apply of two tenants left running."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import httpx2
import pytest

from tests.support.cli.desk import Desk, Finished, desk_at
from tests.support.local.bench import kill_and_wait
from tests.support.patience import PATIENCE_SECONDS

LOUD = """
    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            print("asked for", inputs, flush=True)
            return ["loud" for _ in inputs]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Finished]]:
    """fraud/churn is split between v1 and v2; search/churn has the same name, and search/rank says what it is asked."""
    with desk_at(tmp_path_factory.mktemp("served")) as desk:
        split = {"traffic": {"v1": 50, "v2": 50}}
        desk.spec({"churn": split}, ["v1", "v2"], tenant="fraud", path="fraud/kubeserve.yaml")
        desk.predictor("loud", LOUD)
        desk.spec({"churn": "v1", "rank": "loud"}, ["v1", "loud"], tenant="search", path="search/kubeserve.yaml")
        yield desk, desk.apply("-o", "json")


@pytest.fixture
def desk(served: tuple[Desk, Finished]) -> Desk:
    return served[0]


def test_an_apply_tells_programs_how_each_resource_ended(served: tuple[Desk, Finished]) -> None:
    _, applied = served
    assert applied.data["exitCode"] == 0
    results = {result["id"]: result for result in applied.data["results"]}
    assert {result["phase"] for result in results.values()} == {"Ready"}
    assert results.keys() >= {"tenant/fraud", "version/fraud/m/v2", "deployment/search/rank"}
    assert results["deployment/search/rank"]["url"].endswith("/search/rank")
    assert applied.data["plan"]["summary"].startswith("9 to create")
    assert "deployment search/rank  waiting until it answers" in applied.err
    assert "3 deployments: 3 Ready." in applied.err


def test_what_was_applied_needs_nothing_more(desk: Desk) -> None:
    planned = desk.run("plan", "--detailed-exitcode")
    assert planned.code == 0, planned
    assert planned.out == "Nothing to do: what runs is what this directory asks for.\n\nPlan: 9 unchanged.\n"
    applied = desk.run("apply")
    assert applied.code == 0, "nothing to do is nothing to ask"
    assert not applied.err


def test_status_tells_programs_all_about_a_deployment(desk: Desk) -> None:
    status = desk.status("fraud/churn")
    assert status["phase"] == "Ready"
    assert status["reason"] == "Serving"
    assert status["url"].endswith("/fraud/churn")
    assert status["claimed"] is True
    variants = {variant["version"]: variant for variant in status["variants"]}
    assert variants.keys() == {"v1", "v2"}
    for variant in variants.values():
        assert variant["weight"] == 50
        assert variant["digest"].startswith("sha256:")
        assert (variant["readyReplicas"], variant["replicas"]) == (1, 1)
        assert variant["name"].startswith("churn-")


def test_status_tells_people_in_a_table(desk: Desk) -> None:
    lines = desk.run("status").out.splitlines()
    assert lines[0].split() == ["DEPLOYMENT", "PHASE", "VERSION", "READY", "URL"]
    assert [line.split()[0] for line in lines[1:]] == ["fraud/churn", "search/churn", "search/rank"]
    assert "v1 50%, v2 50%" in lines[1]
    assert "2/2" in lines[1]
    assert [line.split()[0] for line in desk.run("status", "--only", "search").out.splitlines()[1:]] == [
        "search/churn",
        "search/rank",
    ]


def test_a_prediction_is_printed_as_it_was_answered(desk: Desk) -> None:
    asked = desk.run("predict", "rank", "-d", "[[1], [2]]")
    assert (asked.code, asked.out) == (0, '{"predictions":["loud","loud"]}\n')
    by_file = desk.run("predict", "search/rank", "-f", "-", stdin='{"inputs": [[1]]}')
    assert by_file.data == {"predictions": ["loud"]}


def test_a_prediction_can_be_asked_of_one_version(desk: Desk) -> None:
    for version in ("v1", "v2"):
        asked = desk.run("predict", "fraud/churn", "-d", "[1]", "--variant", version)
        assert asked.data == {"predictions": [version]}


def test_an_answer_that_is_an_error_is_printed_and_told_by_the_exit_code(desk: Desk) -> None:
    asked = desk.run("predict", "rank", "-d", '{"input": []}')
    assert asked.code == 1
    assert "error" in asked.data
    assert "HTTP status 400." in asked.err
    unknown = desk.run("predict", "rank", "-d", "[1]", "--variant", "v9")
    assert unknown.code == 1
    assert "HTTP status 404." in unknown.err


def test_the_name_of_two_tenants_deployments_has_to_say_which(desk: Desk) -> None:
    asked = desk.run("predict", "churn", "-d", "[1]")
    assert asked.code == 1
    assert "may be fraud/churn and search/churn. Name one as TENANT/DEPLOYMENT." in asked.err


def test_the_url_answers_what_predict_answers(desk: Desk) -> None:
    assert desk.ask("search/rank") == ["loud"]
    answer = httpx2.get(f"{desk.status('search/rank')['url']}/ready")
    assert answer.json()["digest"] == desk.status("search/rank")["variants"][0]["digest"]


def test_logs_are_shown_of_every_variant_or_of_one(desk: Desk) -> None:
    lines = desk.run("logs", "fraud/churn").out.splitlines()
    names = {variant["version"]: variant["name"] for variant in desk.status("fraud/churn")["variants"]}
    assert f"{names['v1']} I am v1" in lines
    assert f"{names['v2']} I am v2" in lines
    assert "I am v2" in desk.run("logs", "fraud/churn", "--variant", "v2").out.splitlines()
    assert len(desk.run("logs", "rank", "-n", "1").out.splitlines()) == 1
    unknown = desk.run("logs", "rank", "--variant", "v9")
    assert unknown.code == 1
    assert "'v9' of rank does not run; there is rank-" in unknown.err


def test_a_log_that_was_never_kept_is_a_plain_error(desk: Desk) -> None:
    shown = desk.run("logs", "rank", "--failed")
    assert (shown.code, shown.out) == (1, "")
    assert "error: No failure is kept" in shown.err


def test_following_a_log_goes_on_until_interrupted(desk: Desk) -> None:
    following = desk.start("logs", "-f", "search/churn", "-n", "1")
    assert following.stdout is not None
    assert "Ready" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, said = following.communicate()
    assert (following.returncode, said) == (130, "")


def test_watching_tells_each_change_until_interrupted(desk: Desk) -> None:
    watching = desk.start("status", "--watch", "-o", "json", "--only", "search/rank")
    assert watching.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        text += watching.stdout.readline()
    assert json.loads(text)["deployments"][0]["phase"] == "Ready"
    watching.send_signal(signal.SIGINT)
    out, said = watching.communicate()
    assert (watching.returncode, out, said) == (130, "", "")


def test_a_reader_that_goes_away_ends_a_command_silently(desk: Desk) -> None:
    following = desk.start("logs", "-f", "rank")
    assert following.stdout is not None
    following.stdout.readline()
    following.stdout.close()
    desk.ask("search/rank")  # makes it say something, which can't be passed on
    assert following.wait(PATIENCE_SECONDS) == 141
    assert following.stderr is not None
    assert following.stderr.read() == ""
    following.stderr.close()


def test_a_killed_server_is_shown_as_drift_and_comes_back(desk: Desk) -> None:
    kill_and_wait(next(server for server in desk.servers() if "/rank-" in " ".join(server.cmdline())))
    status = desk.status("search/rank")
    assert (status["phase"], status["reason"]) == ("Failed", "NotRunning")
    healed = desk.apply()
    assert "~   deployment rank  (drift: what runs was changed from outside)" in healed.out
    assert desk.ask("search/rank") == ["loud"]
