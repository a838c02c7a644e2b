from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.described import FieldChange, variant_fields
from reconciler.model.resources import Desired, Replicas
from reconciler.targets.local import prepare
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.marks import TenantMark, write
from reconciler.targets.local.observe import Snapshot
from reconciler.targets.local.prepare import Preparer
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.protocol import Live, LiveResource, LiveRoute, LiveTenant, LiveVariant, PreparedResource
from tests.support.engine.graphs import graph

NOTHING = Live(snapshot=Snapshot())


@pytest.fixture
def preparer(tmp_path: Path) -> Preparer:
    run_dir = RunDir(tmp_path / "run")
    return Preparer(run_dir, "default", tmp_path / "secrets", GatewayProcess(run_dir, "127.0.0.1", None))


def live_of(desired: Desired, *, gateway: bool = True) -> Live:
    """What would be live had exactly this been applied."""
    live: list[LiveResource] = [LiveTenant(tenant, "") for tenant in desired.tenants]
    for variant in desired.variants.values():
        count = variant.replicas.min
        described = variant_fields(variant)
        live.append(LiveVariant(variant.id, "", variant.deployment, described=described, running=count, ready=count))
    live += [LiveRoute(route.id, "", dict(route.weights), gateway) for route in desired.deployments.values()]
    return Live.of(live, Snapshot())


def changed(preparer: Preparer, desired: Desired, live: Live) -> list[PreparedResource]:
    return [resource for resource in preparer.prepare(desired, live).values() if resource.changes]


def test_live_as_desired_has_no_changes(preparer: Preparer) -> None:
    desired = graph({"fraud/churn": {"v1": 90, "v2": 10}, "risk/score": "v1"}, replicas=2)
    assert changed(preparer, desired, live_of(desired)) == []


def test_other_weights_are_no_drift(preparer: Preparer) -> None:
    live = live_of(graph({"fraud/churn": {"v1": 90, "v2": 10}}))
    desired = graph({"fraud/churn": {"v1": 50, "v2": 50}})
    first, second = (variant.name for variant in desired.variants)
    (deployment,) = changed(preparer, desired, live)
    assert deployment.changes == (FieldChange("traffic", f"{first} 90%, {second} 10%", f"{first} 50%, {second} 50%"),)
    assert not deployment.drift


def test_what_the_spec_changed_of_a_variant_is_left_to_the_plan(preparer: Preparer) -> None:
    few, more = graph({"fraud/churn": "v1"}), graph({"fraud/churn": "v1"})
    (variant,) = more.variants.values()
    wanted = replace(more, variants={variant.id: replace(variant, replicas=Replicas(1, 9))})
    assert changed(preparer, wanted, live_of(few)) == []


def test_a_gateway_that_is_down_is_drift(preparer: Preparer) -> None:
    desired = graph({"fraud/churn": "v1"})
    (deployment,) = changed(preparer, desired, live_of(desired, gateway=False))
    assert deployment.drift
    assert deployment.changes == (FieldChange("gateway", "not running", "running"),)


def test_a_change_of_the_spec_is_no_drift_though_there_is_some_beside_it(preparer: Preparer) -> None:
    live = live_of(graph({"fraud/churn": {"v1": 90, "v2": 10}}), gateway=False)
    (deployment,) = changed(preparer, graph({"fraud/churn": {"v1": 50, "v2": 50}}), live)
    assert [change.field for change in deployment.changes] == ["traffic", "gateway"]
    assert not deployment.drift


def test_a_tenant_of_another_installation_is_an_error_of_that_tenant(preparer: Preparer) -> None:
    write(preparer.run_dir.tenant_file("fraud"), TenantMark("other", "fraud", ""))
    desired = graph({"fraud/churn": "v1", "risk/score": "v1"})
    errors = {i: r.trouble for i, r in preparer.prepare(desired, NOTHING).items() if r.trouble}
    assert [str(resource) for resource in errors] == ["tenant/fraud"]
    assert "installation 'other'" in str(errors)


def test_without_what_serves_everything_that_runs_is_an_error_that_says_what_to_install(
    preparer: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "REQUIRED_MODULES", ("json", "no_such_module"))
    prepared = preparer.prepare(graph({"fraud/churn": "v1"}), NOTHING)
    failing = {str(resource.kind) for resource in prepared if prepared[resource].trouble}
    assert failing == {"deployment", "variant"}
    errors = {str(resource.trouble) for resource in prepared.values() if resource.trouble}
    assert all("no_such_module: pip install 'kubeserve[local]'" in error for error in errors)
