from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.described import variant_fields
from reconciler.model.resources import Desired, ResourceId
from reconciler.targets.local import prepare
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.marks import RunDir, TenantMark, write
from reconciler.targets.local.prepare import Preparer
from reconciler.targets.protocol import FieldChange, Live, LiveResource, PreparedResource
from tests.support.engine.graphs import graph


@pytest.fixture
def preparer(tmp_path: Path) -> Preparer:
    run_dir = RunDir(tmp_path / "run")
    return Preparer(run_dir, "default", tmp_path / "secrets", GatewayProcess(run_dir, "127.0.0.1", None))


def live_of(desired: Desired, *, gateway: str = "running") -> dict[ResourceId, LiveResource]:
    """What would be live had exactly this been applied."""
    found = {tenant: LiveResource(tenant, "") for tenant in desired.tenants}
    for variant in desired.variants.values():
        count = variant.replicas.min
        found[variant.id] = LiveResource(
            variant.id,
            "",
            variant_fields(variant),
            variant.deployment,
            variant.digest,
            replicas=count,
            ready=count,
        )
    for deployment in desired.deployments.values():
        fields = {"gateway": gateway}
        found[deployment.id] = LiveResource(deployment.id, "", fields, weights=dict(deployment.weights))
    return found


def changed(preparer: Preparer, desired: Desired, live: dict[ResourceId, LiveResource]) -> list[PreparedResource]:
    return [resource for resource in preparer.prepare(desired, Live(live)).resources.values() if resource.changes]


def test_live_as_desired_has_no_changes(preparer: Preparer) -> None:
    desired = graph({"fraud/churn": {"v1": 90, "v2": 10}, "risk/score": "v1"}, replicas=2)
    assert changed(preparer, desired, live_of(desired)) == []


def test_other_weights_are_told_in_versions(preparer: Preparer) -> None:
    live = live_of(graph({"fraud/churn": {"v1": 90, "v2": 10}}))
    (deployment,) = changed(preparer, graph({"fraud/churn": {"v1": 50, "v2": 50}}), live)
    assert deployment.changes == (FieldChange("traffic", "v1 90%, v2 10%", "v1 50%, v2 50%"),)
    assert not deployment.drift


def test_another_variant_of_the_same_version_is_told_by_its_name(preparer: Preparer) -> None:
    old, new = graph({"fraud/churn": "v1"}, level="info"), graph({"fraud/churn": "v1"}, level="debug")
    (old_variant,), (new_variant,) = old.variants, new.variants
    *_, deployment = changed(preparer, new, live_of(old))
    assert deployment.changes == (FieldChange("traffic", f"{old_variant.name} 100%", f"{new_variant.name} 100%"),)


def test_a_gateway_that_is_down_is_drift(preparer: Preparer) -> None:
    desired = graph({"fraud/churn": "v1"})
    (deployment,) = changed(preparer, desired, live_of(desired, gateway="not running"))
    assert deployment.drift
    assert deployment.changes == (FieldChange("gateway", "not running", "running"),)


def test_a_change_of_the_spec_is_no_drift_though_there_is_some_beside_it(preparer: Preparer) -> None:
    live = live_of(graph({"fraud/churn": {"v1": 90, "v2": 10}}), gateway="not running")
    (deployment,) = changed(preparer, graph({"fraud/churn": {"v1": 50, "v2": 50}}), live)
    assert [change.field for change in deployment.changes] == ["traffic", "gateway"]
    assert not deployment.drift


def test_a_tenant_of_another_installation_is_an_error_of_that_tenant(preparer: Preparer) -> None:
    write(preparer.run_dir.tenant_file("fraud"), TenantMark("other", "fraud", ""))
    desired = graph({"fraud/churn": "v1", "risk/score": "v1"})
    errors = {i: r.error for i, r in preparer.prepare(desired, Live({})).resources.items() if r.error}
    assert [str(resource) for resource in errors] == ["tenant/fraud"]
    assert "installation 'other'" in str(errors)


def test_without_what_serves_everything_that_runs_is_an_error_that_says_what_to_install(
    preparer: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "REQUIRED_MODULES", ("json", "no_such_module"))
    prepared = preparer.prepare(graph({"fraud/churn": "v1"}), Live({})).resources
    failing = {str(resource.kind) for resource in prepared if prepared[resource].error}
    assert failing == {"deployment", "variant"}
    errors = {str(resource.error) for resource in prepared.values() if resource.error}
    assert all("no_such_module: pip install 'kubeserve[local]'" in error for error in errors)
