"""What apply and destroy change, refuse to change, and say about it."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest

from tests.support.cli.desk import DIES, SLEEPS, Desk
from tests.support.local.bench import kill_and_wait
from tests.support.patience import PATIENCE_SECONDS, eventually


def test_a_first_apply_serves_and_destroy_takes_all_of_it_away(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    applied = desk.apply()
    assert applied.out.endswith(f"demo/d  {desk.status('d')['url']}\n")
    assert desk.ask("d", [[1], [2]]) == ["v1", "v1"]
    assert [ended["outcome"] for ended in desk.state["rounds"]] == ["succeeded"]
    destroyed = desk.run("destroy", "--yes", "-o", "json")
    assert destroyed.code == 0, destroyed
    assert {result["id"]: result["phase"] for result in destroyed.data["results"]} == {
        "deployment/demo/d": "Gone",
        "tenant/demo": "Gone",
    }
    assert not desk.processes()
    assert desk.run("status", "-o", "json").data == {"deployments": []}
    assert desk.run("plan", "-o", "json").data["summary"].startswith("2 to create, 1 to take over"), (
        "what is stored stays"
    )


def test_another_round_is_refused_with_the_name_of_the_one_that_runs(desk: Desk) -> None:
    desk.predictor("v1", SLEEPS)
    desk.spec({"d": "v1"})
    applying = desk.start("apply", "--yes")
    assert applying.stderr is not None
    lines = iter(applying.stderr.readline, "")
    assert any("waiting until it answers" in line for line in lines)
    refused = desk.run("apply", "--yes")
    assert refused.code == 1
    assert refused.err.startswith("error: Another round is running\n")
    assert f"kubeserve apply (process {applying.pid} of " in refused.err
    assert "--lock-timeout" in refused.err
    assert desk.run("plan").code == 0, "reading needs no lock"
    assert desk.run("destroy", "--yes", "--lock-timeout", "0.2").code == 1
    applying.kill()
    applying.wait(PATIENCE_SECONDS)
    assert desk.run("destroy", "--yes").code == 0, "the lock of the dead is free"


@pytest.mark.slow
def test_a_broken_tenant_stops_only_itself(desk: Desk) -> None:
    desk.spec({"d": "v1"}, tenant="bad", path="bad/kubeserve.yaml")
    desk.apply()
    spec = desk.folder / "bad/kubeserve.yaml"
    spec.write_text(spec.read_text().replace("version: v1", "version: v2"))
    desk.spec({"d": "v1"}, tenant="good", path="good/kubeserve.yaml")
    applied = desk.apply(code=1)
    assert "bad/kubeserve.yaml:11:14: error: Unknown model version" in applied.err
    assert desk.ask("good/d") == ["v1"]
    assert desk.ask("bad/d") == ["v1"]
    assert desk.run("plan").out.startswith("Nothing to do for the tenants whose specs have no errors.")
    spec.write_text("{")
    (desk.folder / "good/kubeserve.yaml").unlink()
    withheld = desk.apply(code=1)
    assert "Held back: A spec could not be read, so nothing is deleted" in withheld.out
    assert desk.ask("good/d") == ["v1"]


def test_the_log_of_an_apply_names_the_round_the_tenant_and_the_deployment(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    lines = [line for line in desk.apply("-v").err.splitlines() if "round=" in line]
    round_id = desk.state["rounds"][-1]["id"]
    assert all(f"round={round_id}" in line for line in lines)
    steps = [line.partition("round=")[0].split(maxsplit=2)[2].strip() for line in lines if "deployment=d" in line]
    assert steps[-1] == "Ready"
    assert "moving traffic" in steps
    assert all("tenant=demo" in line for line in lines if "deployment=d" in line)
    assert lines[-1].rstrip().endswith("verdict=succeeded")


@pytest.mark.slow
def test_only_leaves_alone_what_lies_outside(desk: Desk) -> None:
    desk.spec({"a": "v1", "b": "v1"})
    desk.apply("--only", "demo/a")
    assert [status["deployment"] for status in desk.run("status", "-o", "json").data["deployments"]] == ["a"]
    desk.apply()
    desk.spec({})
    desk.apply("--only", "demo/b")
    assert [status["deployment"] for status in desk.run("status", "-o", "json").data["deployments"]] == ["a"]
    assert desk.run("destroy", "--yes", "--only", "demo/a").code == 0
    assert not desk.servers()


def test_deleting_all_of_a_tenant_is_held_back_until_it_is_allowed(desk: Desk) -> None:
    desk.spec({"a": "v1", "b": "v1"})
    desk.apply()
    desk.spec({})
    held = desk.apply(code=1)
    assert "Held back: All 2 deployments of tenant demo would be deleted" in held.out
    assert desk.ask("a") == ["v1"]
    (desk.folder / "kubeserve.yaml").unlink()
    empty = desk.apply("--allow-deletions", code=1)
    assert "error: No kubeserve.yaml was found" in empty.err
    assert "Held back: No specs were found, so nothing is deleted" in empty.out
    assert desk.ask("b") == ["v1"]
    desk.spec({})
    desk.apply("--allow-deletions")
    assert not desk.servers()


def test_a_saved_plan_is_applied_once_and_refused_when_anything_has_changed(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    assert desk.run("plan", "--out", "first.json").code == 0
    assert desk.run("apply", "--plan", "first.json").code == 0
    assert "the state changed since" in desk.run("apply", "--plan", "first.json").err
    desk.spec({"d": {"version": "v1", "replicas": 2}})
    assert desk.run("plan", "--out", "second.json").code == 0
    kill_and_wait(desk.servers()[0])
    refused = desk.run("apply", "--plan", "second.json")
    assert refused.code == 1
    assert "error: Saved plan is out of date" in refused.err
    assert "what runs changed since" in refused.err
    assert not desk.servers(), "a refused plan does nothing"
    assert desk.run("plan", "--out", "third.json").code == 0
    assert desk.run("apply", "--plan", "third.json").code == 0
    assert len(desk.servers()) == 2


def test_a_lost_state_file_loses_nothing(desk: Desk) -> None:
    desk.spec({"a": "v1", "b": "v1"})
    desk.apply()
    before = {server.pid for server in desk.servers()}
    (desk.home / "state.json").unlink()
    assert desk.run("status", "-o", "json").data["deployments"][0]["claimed"] is False
    desk.spec({"a": "v1"})
    planned = desk.run("plan")
    assert "=   deployment a  (runs as asked; to be recorded)" in planned.out
    assert "Unclaimed" in planned.out
    assert "deployment/demo/b" in planned.out
    desk.apply()
    assert {server.pid for server in desk.servers()} == before
    desk.apply("--prune-unclaimed")
    assert len(desk.servers()) == 1
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_a_state_file_that_is_none_is_named_and_left_alone(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    desk.write(".kubeserve/state.json", "{")
    for command in (["plan"], ["apply", "--yes"], ["status"], ["predict", "d", "-d", "[1]"]):
        done = desk.run(*command)
        assert done.code == 1
        assert done.err.startswith("error: State file can't be read\n")
        assert "Move it away" in done.err
    assert (desk.home / "state.json").read_text() == "{"


SECRET = "hunter2-and-more"
TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
TELLS_ITS_LENGTH = """
    import os

    class Predictor:
        def __init__(self, path):
            self.lengths = [len(os.environ["PASSWORD"]), len(os.environ["API_TOKEN"])]

        def predict(self, inputs):
            return [self.lengths for _ in inputs]
"""


@pytest.mark.slow
def test_no_secret_is_ever_said_or_recorded(desk: Desk) -> None:
    desk.secret("hub", "password", SECRET + "\n")
    desk.predictor("v1", TELLS_ITS_LENGTH)
    desk.predictor("v2", DIES)
    env = {"PASSWORD": {"secret": "hub", "key": "password"}, "API_TOKEN": TOKEN}
    desk.spec({"d": {"version": "v1", "env": env}}, ["v1", "v2"])
    heard = [desk.run("validate"), desk.run("validate", "-o", "json"), desk.run("plan", "--out", "plan.json")]
    heard += [desk.run("-vv", "apply", "--yes", "-o", "json")]
    assert heard[-1].code == 0, heard[-1]
    assert desk.ask("d") == [[len(SECRET), len(TOKEN)]]
    desk.spec({"d": {"version": "v2", "env": env | {"API_TOKEN": TOKEN + "2"}}}, ["v1", "v2"])
    heard += [desk.run("plan", "-o", name) for name in ("text", "json", "markdown")]
    assert "env.API_TOKEN" in heard[-3].out, "that it changes is shown"
    heard += [desk.run("-vv", "apply", "--yes")]
    assert heard[-1].code == 3, heard[-1]
    heard += [desk.run("logs", "d"), desk.run("logs", "d", "--failed"), desk.run("predict", "d", "-d", "[1]")]
    heard += [desk.run("status", "-o", name) for name in ("table", "json", "yaml")]
    (desk.home / "secrets/hub/password").chmod(0o644)
    heard += [desk.run("-vv", "plan"), desk.run("-vv", "apply", "--yes")]
    assert "Secret is open to others" in heard[-1].out
    kept = [
        path.read_text(errors="replace")
        for path in desk.home.rglob("*")
        if path.is_file() and "secrets" not in path.parts
    ]
    kept += [(desk.folder / "plan.json").read_text()]
    for text in (*map(str, heard), *kept):
        assert SECRET not in text
        assert TOKEN not in text


def test_what_a_model_can_not_find_is_told_before_anything_is_touched(desk: Desk) -> None:
    desk.spec({"d": {"version": "v1", "env": {"TOKEN": {"secret": "hub", "key": "token"}}}})
    planned = desk.run("plan")
    assert planned.code == 1
    assert "!   deployment d" in planned.out
    assert "error: Secret is missing" in planned.out
    applied = desk.apply(code=1)
    assert "deployment/demo/d is Failed: Secret is missing" in applied.err
    assert not desk.processes()
    desk.secret("hub", "token", "x")
    desk.apply()
    assert desk.ask("d") == ["v1"]


@pytest.mark.slow
def test_a_taken_port_is_an_error_and_no_other_url(desk: Desk) -> None:
    desk.spec({"d": "v1"})
    desk.apply()
    url = desk.status("d")["url"]
    gateway = desk.gateway()
    kill_and_wait(gateway)
    assert (desk.status("d")["phase"], desk.status("d")["reason"]) == ("Failed", "NotReachable")
    with socket.create_server(("127.0.0.1", int(url.rsplit(":", 1)[1].split("/")[0]))):
        planned = desk.run("plan")
        assert planned.code == 1
        assert "error: The gateway's port is taken" in planned.out
        assert "deployment/demo/d is Failed: The gateway's port is taken" in desk.apply(code=1).err
    desk.apply()
    assert desk.status("d")["url"] == url
    assert desk.ask("d") == ["v1"]


def test_a_repository_is_applied_at_its_ref(desk: Desk) -> None:
    desk.spec({"d": "v1"}, ["v1", "v2"])
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(desk.folder))
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "first"), ("tag", "one")):
        subprocess.run((*git, *arguments), check=True)
    status = subprocess.run((*git, "status", "--porcelain"), capture_output=True, text=True, check=True)
    desk.spec({"d": "v2"}, ["v1", "v2"])
    applied = desk.apply("--ref", "one")
    assert "Plan for one at " in applied.out
    assert desk.ask("d") == ["v1"]
    assert status.stdout == ""
    desk.apply()
    assert desk.ask("d") == ["v2"]
    subprocess.run((*git, "checkout", "-q", "."), check=True)
    assert subprocess.run((*git, "status", "--porcelain"), capture_output=True, text=True, check=True).stdout == ""


def test_two_applies_at_once_end_as_one_would(desk: Desk) -> None:
    desk.spec({"a": "v1", "b": "v1"})
    both = [desk.start("apply", "--yes", "-o", "json", "--lock-timeout", "60") for _ in range(2)]
    outs = [applying.communicate(timeout=PATIENCE_SECONDS)[0] for applying in both]
    assert [applying.returncode for applying in both] == [0, 0]
    assert sorted(json.loads(out)["plan"]["empty"] for out in outs) == [False, True]
    eventually(lambda: len(desk.servers()) == 2, "two servers")
    assert desk.run("plan", "--detailed-exitcode").code == 0
