"""How a command shows what came of a round, and the state of deployments."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.cli import rounds
from reconciler.cli.commands.status import print_statuses
from reconciler.cli.progress import EventPrinter
from reconciler.engine.run import Event, Result
from reconciler.model.resources import ResourceId, deployment_id, tenant_id
from reconciler.state.model import Phase
from reconciler.status.statuses import DeploymentStatus, VariantStatus

QUOTA = "Tenant does not fit into its quota: it needs 3 CPU of 2"
IDS = (tenant_id("fraud"), deployment_id("fraud", "a"), deployment_id("fraud", "b"))


def said(resource: ResourceId) -> str:
    """A deployment names the part that stopped it."""
    return QUOTA if resource == IDS[0] else f"{IDS[0]}: {QUOTA}"


def test_a_cause_that_stops_a_tenant_is_printed_once_as_a_round_goes(capsys: pytest.CaptureFixture[str]) -> None:
    printer = EventPrinter()
    for resource in IDS:
        printer(Event("round", datetime(2026, 1, 1, tzinfo=UTC), resource, said(resource), phase=Phase.FAILED))
    assert capsys.readouterr().err.splitlines() == [
        f"tenant fraud  Failed: {QUOTA}",
        "deployment fraud/a  Failed: same cause as tenant/fraud",
        "deployment fraud/b  Failed: same cause as tenant/fraud",
    ]


def test_a_cause_that_several_results_share_is_printed_once_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    rounds.show_failures([Result(resource, Phase.FAILED, said(resource), ("a line",)) for resource in IDS])
    printed = capsys.readouterr().err
    assert printed.count(QUOTA) == 1
    assert "deployment/fraud/b is Failed for the same cause." in printed
    assert printed.count("  | a line") == 3


def status(name: str, phase: Phase, message: str = "", reason: str = "") -> DeploymentStatus:
    variant = VariantStatus(f"{name}-0123456789", "v1", 100, "sha256:0", 1, 2)
    url = f"http://127.0.0.1:24950/fraud/{name}"
    return DeploymentStatus("fraud", name, phase, reason, message, "2026-01-01T00:00:00+00:00", url, (variant,))


def test_the_table_of_deployments(capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    statuses = (
        status("a", Phase.FAILED, said(IDS[1]), "PartFailed"),
        status("b", Phase.FAILED, said(IDS[2]), "PartFailed"),
        status("churn", Phase.READY),
        status("risk", Phase.DEGRADED, "version v2: it ended\n\x1b[2J", "NotReady"),
    )
    print_statuses(statuses, "table")
    printed = capsys.readouterr().out
    assert printed.count(QUOTA) == 1
    assert printed == snapshot
