"""The plan as people and programs read it."""

from __future__ import annotations

import orjson
import pytest

from reconciler.model.resources import deployment_id, tenant_id
from reconciler.plan.model import Action, Change, Plan
from reconciler.plan.views.data import plan_digest, plan_document, render_json
from reconciler.plan.views.markdown import render_markdown
from reconciler.plan.views.text import render_text, size
from specs.errors import Trouble
from tests.support.engine.graphs import graph
from tests.support.engine.rounds import Sandbox


def test_a_first_plan_says_what_is_uploaded_and_started(world: Sandbox) -> None:
    text = render_text(world.plan(graph({"fraud/churn": "v1"})))
    assert "+ tenant fraud" in text
    assert "version churn/v1  upload 1000 B" in text
    assert "deployment churn  version v1, replicas 1, cpu 500m, memory 512Mi" in text
    assert "Plan: 3 to create; 1000 B to upload." in text


def test_a_rollout_shows_old_and_new_and_what_happens_in_which_order(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    text = render_text(world.plan(graph({"fraud/churn": "v2"}, replicas=2, level="debug")))
    assert "~   deployment churn" in text
    for line in ("version    v1 -> v2", "replicas   1 -> 2", "env.LEVEL  info -> debug"):
        assert line in text
    assert "once it answers, removes churn-" in text


def test_a_split_is_shown_as_traffic(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    text = render_text(world.plan(graph({"fraud/churn": {"v1": 90, "v2": 10}})))
    assert "traffic  v1 100% -> v1 90%, v2 10%" in text


def test_the_traffic_of_before_is_told_largest_share_first(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": {"v1": 10, "v2": 90}}))
    text = render_text(world.plan(graph({"fraud/churn": {"v1": 50, "v2": 50}})))
    assert "traffic  v2 90%, v1 10% -> v1 50%, v2 50%" in text


def test_a_deletion_says_what_its_users_lose(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "fraud/keep": "v1"}))
    text = render_text(world.plan(graph({"fraud/risk": "v1", "fraud/keep": "v1"})))
    assert "-   deployment churn  (its URL stops answering)" in text
    assert "1 to delete" in text


def test_nothing_to_do_is_said_in_a_sentence(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    text = render_text(world.plan(desired))
    assert text.startswith("Nothing to do: what runs is what test asks for.")
    assert "Plan: 3 unchanged." in text


def test_what_is_held_back_is_shown_with_its_names(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "b/x": "v1"}))
    text = render_text(world.plan(graph({"b/x": "v1"})))
    assert "Held back: All 2 deployments of tenant fraud would be deleted" in text
    assert "deployment/fraud/churn" in text


def test_the_json_has_every_change_and_what_it_is_bound_to(world: Sandbox) -> None:
    document = orjson.loads(render_json(world.plan(graph({"fraud/churn": "v1"}))))
    assert [change["id"] for change in document["changes"]][:2] == ["tenant/fraud", "version/fraud/churn/v1"]
    assert document["binding"]["desired"].startswith("sha256:")
    assert document["empty"] is False


def test_two_plans_of_the_same_are_equal_and_one_changed_replica_makes_a_difference(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    first = plan_digest(plan_document(world.plan(graph({"fraud/churn": "v2"}))))
    assert plan_digest(plan_document(world.plan(graph({"fraud/churn": "v2"})))) == first
    assert plan_digest(plan_document(world.plan(graph({"fraud/churn": "v2"}, replicas=2)))) != first


def test_markdown_shows_values_as_code_that_breaks_no_table(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    text = render_markdown(world.plan(graph({"fraud/churn": "v1"}, level="a|b\n<script>")))
    (row,) = [line for line in text.splitlines() if "deployment `churn`" in line]
    assert r'`env.LEVEL`: `info` → `"a\x7cb\n<script>"`' in row


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")])
def test_sizes_are_written_as_people_write_them(number: int, text: str) -> None:
    assert size(number) == text


def test_what_stops_a_whole_tenant_is_said_under_it_and_a_warning_is_said_once_anything_is_done() -> None:
    error = Trouble("Tenant does not fit into its quota", "It needs 3 CPU of 2.")
    text = render_text(Plan((Change(tenant_id("fraud"), Action.CREATE, error=error),)))
    assert "! tenant fraud\n    error: Tenant does not fit into its quota\n      It needs 3 CPU of 2." in text
    warned = Change(tenant_id("fraud"), Action.UNCHANGED, note="at its maximum it would need 9 pods of 5")
    work = Change(deployment_id("fraud", "churn"), Action.CREATE)
    assert "warning: at its maximum" in render_text(Plan((warned, work)))
    assert "warning" not in render_text(Plan((warned,)))
    assert "**Warning** `tenant/fraud`\n\n```text\nat its maximum" in render_markdown(Plan((warned, work)))
