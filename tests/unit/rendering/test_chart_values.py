"""What the chart is told of a variant and a deployment."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from reconciler.model.resources import Desired, DesiredVariant, Replicas, SecretRef, deployment_id
from reconciler.targets.kubernetes.rendering.errors import RenderError
from reconciler.targets.kubernetes.rendering.values import (
    deployment_values,
    merged,
    shared_values,
    variant_values,
)
from specs.models.platform import default_platform
from tests.support.engine.graphs import graph
from tests.support.kubernetes.charts import IMAGE, platform


def variant(desired: Desired | None = None) -> DesiredVariant:
    found = next(iter((desired or graph({"fraud/churn": "v1"})).variants.values()))
    return replace(found, runtime=IMAGE)


def test_a_variant_is_named_and_placed_as_its_id_says() -> None:
    one = variant()
    values = variant_values(platform(), one)
    assert (values["name"], values["deployment"], values["tenant"]) == (one.name, "churn", "fraud")
    assert values["namespace"] == "kubeserve-fraud"
    assert values["model"] == {"name": "churn", "version": "v1", "digest": one.digest}
    assert values["image"] == IMAGE


def test_amounts_are_written_as_the_api_writes_them_back() -> None:
    one = replace(variant(), cpu_millicores=2000, memory_bytes=3 << 30)
    values = variant_values(platform(), one)
    assert values["resources"]["requests"] == values["resources"]["limits"] == {"cpu": "2", "memory": "3Gi"}


@pytest.mark.parametrize(("millicores", "threads"), [(100, 1), (1000, 1), (1001, 2), (4000, 4)])
def test_a_part_of_a_core_is_one_thread(millicores: int, threads: int) -> None:
    assert variant_values(platform(), replace(variant(), cpu_millicores=millicores))["threads"] == threads


def test_replicas_are_handed_on_as_a_range() -> None:
    values = variant_values(platform(), replace(variant(), replicas=Replicas(2, 7)))
    assert values["replicas"] == {"min": 2, "max": 7}


def test_a_secret_is_a_reference_and_text_is_text() -> None:
    values = variant_values(platform(), replace(variant(), env={"A": "$(B)", "T": SecretRef("hub", "token")}))
    assert values["env"] == {"A": "$(B)", "T": {"secret": "hub", "key": "token"}}


def test_a_tenant_can_not_read_the_secrets_of_the_platform() -> None:
    stolen = replace(variant(), env={"KEY": SecretRef("kubeserve-store", "AWS_SECRET_ACCESS_KEY")})
    with pytest.raises(RenderError, match="A Secret of the platform"):
        variant_values(platform(), stolen)


def test_checks_stay_as_they_were_written_to_the_last_digit() -> None:
    checks = ({"inputs": [[1.0, 0.1]], "outputs": [2**60], "tolerance": 1e-06},)
    values = variant_values(platform(), replace(variant(), checks=checks))
    assert orjson.loads(values["checks"]) == list(checks)
    assert "1.0" in values["checks"]


def test_checks_that_no_process_could_be_given_are_refused() -> None:
    many = ({"inputs": [[0.5] * 40_000], "tolerance": 0.0},)
    with pytest.raises(RenderError, match="Checks are too large"):
        variant_values(platform(), replace(variant(), checks=many))


def test_a_name_that_no_service_can_have_is_refused() -> None:
    with pytest.raises(RenderError, match="No name for a Service"):
        variant_values(platform(), replace(variant(), deployment=deployment_id("fraud", "3d")))


def test_a_variant_that_may_take_long_to_start_is_not_killed_before() -> None:
    assert "probes" not in variant_values(platform(), replace(variant(), ready_seconds=600))
    values = variant_values(platform(), replace(variant(), ready_seconds=1800.5))
    assert values["probes"] == {"startup": {"failureThreshold": 1801}}
    assert values["timeouts"]["ready"] == 1801


def test_pods_are_told_the_endpoint_that_they_can_reach() -> None:
    store = shared_values(platform(), monitors=False)["store"]
    assert store == {
        "bucket": "ml-models",
        "prefix": "models/",
        "endpoint": "http://s3.storage.svc:9000",
        "pathStyle": True,
    }


def test_the_copied_secrets_are_used_where_they_are_copied() -> None:
    values = variant_values(platform(), variant())
    assert values["store"] == {"secret": "kubeserve-store"}
    assert values["imagePullSecrets"] == [{"name": "kubeserve-pull"}]


def test_no_key_is_used_where_the_service_account_gives_access() -> None:
    more = 'tenants: {fraud: {storeAccess: {serviceAccountAnnotations: {example.org/role: "reader"}}}}'
    assert "store" not in variant_values(platform(more), variant())


def test_a_store_on_this_machine_is_an_error() -> None:
    with pytest.raises(RenderError, match="A store that pods can't reach"):
        shared_values(default_platform(), monitors=False)


def test_the_route_hangs_on_the_gateway_of_the_platform() -> None:
    found = shared_values(platform("kubernetes: {gateway: infra/public, host: models.example.org}"), monitors=False)
    assert found["routing"] == {
        "kind": "gateway",
        "gateway": {"name": "public", "namespace": "infra"},
        "host": "models.example.org",
    }


def test_monitors_are_made_where_the_cluster_knows_them() -> None:
    assert shared_values(platform(), monitors=True)["serviceMonitor"] == {"mode": "always"}
    assert shared_values(platform(), monitors=False)["serviceMonitor"] == {"mode": "never"}


def test_a_deployment_leads_to_its_variants_by_weight() -> None:
    desired = graph({"fraud/churn": {"v1": 90, "v2": 10}})
    [deployment] = desired.deployments.values()
    values = deployment_values(platform(), deployment, desired.variants_of[deployment.id])
    names = [v.name for v in deployment.weights]
    assert values["backends"] == [{"variant": names[0], "weight": 90}, {"variant": names[1], "weight": 10}]


def test_the_route_waits_as_long_as_its_most_patient_variant() -> None:
    desired = graph({"fraud/churn": {"v1": 90, "v2": 10}})
    [deployment] = desired.deployments.values()
    first, second = desired.variants_of[deployment.id]
    values = deployment_values(platform(), deployment, [first, replace(second, request_seconds=95)])
    assert values["timeouts"] == {"request": 95}


def test_the_spec_wins_over_a_tenants_overlay_and_that_over_the_one_for_all() -> None:
    more = """
kubernetes: {values: {autoscaling: {cpu: 50, memory: 80}, threads: 9}}
tenants: {fraud: {values: {autoscaling: {cpu: 60}, threads: 8, env: {A: overlay, B: overlay}}}}
"""
    one = replace(variant(), env={"A": "spec"})
    values = merged(shared_values(platform(more), monitors=False), variant_values(platform(more), one))
    assert values["autoscaling"] == {"cpu": 60, "memory": 80}
    assert values["threads"] == 1
    assert values["env"] == {"A": "spec", "B": "overlay"}


def test_a_tenants_overlay_does_not_choose_the_routing() -> None:
    desired = graph({"fraud/churn": "v1"})
    [deployment] = desired.deployments.values()
    more = "tenants: {fraud: {values: {routing: {kind: ingress, annotations: {a: b}}}}}"
    values = deployment_values(platform(more), deployment, desired.variants_of[deployment.id])
    assert values["routing"] == {"kind": "gateway", "annotations": {"a": "b"}}


def test_merging_replaces_lists_and_leaves_what_it_was_given() -> None:
    under = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merged(under, {"a": {"c": [3]}, "e": None}) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": None}
    assert under == {"a": {"b": 1, "c": [1, 2]}, "d": 1}
