"""`kubeserve plan`: changes nothing, tells people and programs alike, and is saved to be applied later."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

Call = Callable[..., Any]
Write = Callable[..., Path]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_plan_changes_nothing_but_caches_which_git_never_sees(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    before = files(folder)
    assert call("plan").code == 0
    assert {path.split("/")[0] for path in files(folder) - before} <= {".kubeserve"}
    assert (folder / ".kubeserve/.gitignore").read_text() == "*\n"
    assert not (folder / ".kubeserve/state.json").exists()
    assert not (folder / ".kubeserve/store").exists()


def test_where_nothing_can_be_kept_a_plan_is_made_all_the_same(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    (folder / ".kubeserve").symlink_to("/nowhere/at/all")
    assert call("plan").code == 0
    applied = call("apply", "--yes")
    assert applied.code == 1
    assert applied.err.startswith("error: Nothing can be kept here\n")


def test_a_first_plan_shows_what_is_created_in_words_and_numbers(call: Call, write_spec: Write) -> None:
    write_spec()
    lines = call("plan").out.splitlines()
    assert lines[0] == "Plan for this directory on target local"
    assert any(line.startswith("+   deployment d  version v1, replicas 1") for line in lines)
    assert lines[-1].startswith("Plan: 3 to create; ")


def test_a_plan_for_programs_names_every_change(call: Call, write_spec: Write) -> None:
    write_spec()
    plan = call("plan", "-o", "json").data
    assert (plan["format"], plan["target"], plan["empty"]) == (1, "local", False)
    changes = {change["id"]: change for change in plan["changes"]}
    assert {change["action"] for change in changes.values()} == {"create"}
    assert changes.keys() >= {"tenant/demo", "version/demo/m/v1", "deployment/demo/d"}
    assert changes["version/demo/m/v1"]["bytes"] > 0
    assert {"field": "version", "old": None, "new": "v1"} in changes["deployment/demo/d"]["fields"]


def test_a_plan_for_a_pull_request_is_a_table(call: Call, write_spec: Write) -> None:
    write_spec()
    out = call("plan", "-o", "markdown").out
    assert out.startswith("### Plan: 3 to create")
    assert "| `demo` | deployment `d` | create |" in out


def test_a_plan_as_yaml_is_the_plan_as_json(call: Call, write_spec: Write) -> None:
    write_spec()
    assert yaml.safe_load(call("plan", "-o", "yaml", "--objects").out) == call("plan", "-o", "json", "--objects").data


@pytest.mark.parametrize("output", ["text", "json", "yaml", "markdown"])
def test_what_a_change_does_to_objects_is_shown_when_it_is_asked_for(
    call: Call, write_spec: Write, output: str
) -> None:
    write_spec()
    assert "route to demo/d" not in call("plan", "-o", output).out
    shown = call("plan", "-o", output, "--objects")
    assert shown.code == 0
    assert "processes of demo/d-" in shown.out
    assert "route to demo/d" in shown.out


def test_a_plan_is_saved_without_its_objects(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    call("plan", "--out", "bare.json")
    call("plan", "--objects", "-o", "json", "--out", "shown.json")
    assert (folder / "shown.json").read_bytes() == (folder / "bare.json").read_bytes()


def test_changes_are_told_by_the_exit_code_when_that_is_asked_for(call: Call, write_spec: Write) -> None:
    write_spec()
    assert call("plan").code == 0
    assert call("plan", "--detailed-exitcode").code == 2


def test_of_two_tenants_the_healthy_one_is_planned(call: Call, write_spec: Write) -> None:
    write_spec("good/kubeserve.yaml", tenant="good")
    write_spec("bad/kubeserve.yaml", tenant="bad", version="v9")
    done = call("plan", "-o", "json")
    assert done.code == 1
    assert {change["tenant"] for change in done.data["changes"]} == {"good"}
    assert "bad/kubeserve.yaml:8:26: error: Unknown model version" in done.err


def test_a_plan_of_nothing_but_broken_specs_shows_only_what_is_broken(call: Call, write_spec: Write) -> None:
    write_spec(version="v9")
    done = call("plan")
    assert (done.code, done.out) == (1, "")
    assert "Unknown model version" in done.err


def test_only_narrows_to_a_tenant_or_a_deployment(call: Call, write_spec: Write) -> None:
    write_spec("one/kubeserve.yaml", tenant="one")
    write_spec("two/kubeserve.yaml", tenant="two")
    both = call("plan", "-o", "json", "--only", "one/d", "--only", "two").data["changes"]
    assert {change["tenant"] for change in both} == {"one", "two"}
    for only in ("two", "two/d"):
        changes = call("plan", "-o", "json", "--only", only).data["changes"]
        assert {change["tenant"] for change in changes} == {"two"}


@pytest.mark.parametrize(("only", "meant"), [("tow", "two"), ("two/dd", "two/d")])
def test_only_what_is_nowhere_is_an_error_and_no_empty_plan(
    call: Call, write_spec: Write, only: str, meant: str
) -> None:
    write_spec("one/kubeserve.yaml", tenant="one")
    write_spec("two/kubeserve.yaml", tenant="two")
    done = call("plan", "--only", only)
    assert done.code == 1
    assert "error: Nothing has this name" in done.err
    assert f"Did you mean '{meant}'?" in done.err


def test_a_saved_plan_says_itself_what_it_is_about(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    assert call("plan", "--only", "demo/d", "--out", "plan.json").code == 0
    saved = orjson.loads((folder / "plan.json").read_bytes())
    assert saved["options"]["scope"] == ["demo/d"]
    assert "give no other option beside --plan" in call("apply", "--plan", "plan.json", "--only", "demo").err


def test_what_is_no_saved_plan_is_refused_before_anything_else(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    for content in ("", "{}", "[]", '{"plan": {"format": 99}, "options": {}}', '{"plan": 1, "options": 2}'):
        (folder / "plan.json").write_text(content)
        done = call("apply", "--plan", "plan.json")
        assert done.code == 1
        assert "error: Not a saved plan" in done.err
    assert not (folder / ".kubeserve").exists()


def test_a_plan_that_can_not_be_saved_says_why(call: Call, write_spec: Write) -> None:
    write_spec()
    done = call("plan", "--out", "nowhere/plan.json")
    assert done.code == 1
    assert "error: Plan can't be saved\n  nowhere/plan.json: No such file or directory." in done.err


def test_a_saved_plan_is_refused_once_the_specs_changed(call: Call, write_spec: Write) -> None:
    spec = write_spec()
    call("plan", "--out", "plan.json")
    spec.write_text(spec.read_text().replace("{model: m,", "{model: m, replicas: 2,"))
    done = call("apply", "--plan", "plan.json")
    assert done.code == 1
    assert "error: Saved plan is out of date" in done.err
    assert "the specs or the platform changed since" in done.err
    assert "Plan again." in done.err


def test_nothing_is_asked_without_a_terminal(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    with Path(os.devnull).open() as nothing, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", nothing)
        done = call("apply")
    assert done.code == 64
    assert "Confirmation needs a terminal; pass --yes." in done.err
    assert not (folder / ".kubeserve/state.json").exists()


def test_unknown_deployments_are_no_wrong_usage(call: Call, write_spec: Write) -> None:
    write_spec()
    for command in (["predict", "d", "-d", "[1]"], ["logs", "d"], ["logs", "d", "--failed"]):
        done = call(*command)
        assert done.code == 1
        assert "error: No such deployment\n  Nothing was deployed here yet" in done.err


def test_nothing_deployed_is_told_as_such(call: Call, write_spec: Write) -> None:
    write_spec()
    assert call("status").out.startswith("Nothing runs here.")
    assert call("status", "-o", "json").data == {"deployments": []}
    assert call("status", "-o", "yaml").out == "---\ndeployments: []\n"
    assert call("destroy", "--yes").out == "Nothing to do.\n\nPlan: nothing.\n"
