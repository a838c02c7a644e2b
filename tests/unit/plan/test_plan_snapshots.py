"""The whole plan as people read it: text and Markdown, of one world with every kind of change."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.model.resources import deployment_id, tenant_id
from reconciler.plan.model import Action, Change, Guard, Plan, Unclaimed
from reconciler.plan.views.markdown import render_markdown
from reconciler.plan.views.text import render_text
from specs.errors import Trouble
from tests.support.engine.graphs import graph
from tests.support.engine.rounds import Sandbox

NO_GATEWAY = Trouble(
    "The cluster has no Gateway API", "`routing: gateway` needs its HTTPRoute.\nInstall the Gateway API's resources."
)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    sandbox = Sandbox(tmp_path)
    sandbox.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "search/rank": {"v1": 90, "v2": 10}}))
    planned = sandbox.plan(graph({"fraud/churn": "v2", "fraud/new": "v1", "search/rank": "v2"}, level="debug -> info"))
    blocked = [Change(deployment_id("blocked", name), Action.CREATE, error=NO_GATEWAY) for name in ("a", "b", "c")]
    return dataclasses.replace(
        planned,
        changes=(Change(tenant_id("blocked"), Action.CREATE), *blocked, *planned.changes),
        guards=(Guard("budget", "6 of 9 deployments would be deleted", "Pass --allow-deletions.", (blocked[0].id,)),),
        unclaimed=(Unclaimed(deployment_id("search", "old"), "runs, but this state file does not know it"),),
    )


def test_the_plan_as_text(plan: Plan, snapshot: SnapshotAssertion) -> None:
    assert str(render_text(plan)) == snapshot


def test_the_plan_as_markdown(plan: Plan, snapshot: SnapshotAssertion) -> None:
    assert render_markdown(plan) == snapshot


def test_a_cause_that_several_changes_share_appears_in_full_once(plan: Plan) -> None:
    text, markdown = render_text(plan), render_markdown(plan)
    assert text.count("Install the Gateway API's resources.") == 1
    assert text.count("error: The cluster has no Gateway API, as for deployment/blocked/a above") == 2
    assert markdown.count("Install the Gateway API's resources.") == 1
    assert "**Error** `deployment/blocked/a`, `deployment/blocked/b`, `deployment/blocked/c`" in markdown
