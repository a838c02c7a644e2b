"""When a variant is ready, and the cause that is quoted when it is not, on pretended nodes under real controllers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.resources import ResourceId, deployment_id, tenant_id
from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.readiness.rollout import DEADLINE
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.protocol import ReadinessState, TargetError
from tests.support.kubernetes.bench import EVERYTHING, KubeBench, kube_bench
from tests.support.kubernetes.cluster import Cluster
from tests.support.patience import eventually

MISSING, CRASHING = "registry.example.org/runtime:missing", "registry.example.org/runtime:crash"


@pytest.fixture(scope="module")
def kubeconfig(api_server: Cluster) -> Path:
    api_server.need_pretended_nodes()
    return api_server.kubeconfig


@pytest.fixture
def rig(kubeconfig: Path) -> Iterator[KubeBench]:
    with kube_bench(kubeconfig) as bench:
        yield bench


def only_variant(rig: KubeBench, image: str = "", replicas: int = 1) -> ResourceId:
    """A variant of fraud/churn, applied, with an image that says what becomes of its pods."""
    if image:
        rig.sketch.images["churn"] = image
    desired = rig.graph({"fraud/churn": "v1"}, replicas=replicas)
    rig.apply(desired)
    return next(iter(desired.variants))


def test_a_variant_whose_pods_are_ready_is_ready_and_takes_traffic(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
    (variant,) = desired.variants
    rig.apply(desired, wait=True)
    assert rig.readiness(variant).ready == 2
    live = rig.target.observe(EVERYTHING)
    assert (live.variants[variant].running, live.variants[variant].ready) == (2, 2)
    assert live.routes[deployment_id("fraud", "churn")].weights == {variant: 100}
    assert rig.changes(desired) == []


def test_an_image_that_is_not_there_is_named(rig: KubeBench) -> None:
    failed = rig.wait_failed(only_variant(rig, MISSING))
    assert "can't be pulled" in failed.cause
    assert MISSING in failed.cause


def test_an_image_that_could_not_be_pulled_yet_is_waited_for(rig: KubeBench) -> None:
    rig.target = rig.new_target(Timing(pulling=3600.0))
    variant = only_variant(rig, MISSING)
    waited = eventually(
        lambda: next((seen for seen in [rig.readiness(variant)] if "could not be pulled" in seen.cause), None)
    )
    assert waited.state is ReadinessState.WAITING
    assert waited.cause.endswith("it is tried again")


def test_a_server_that_ends_again_and_again_says_how(rig: KubeBench) -> None:
    failed = rig.wait_failed(only_variant(rig, CRASHING))
    assert failed.cause == "the model server ended: Error, exit code 1"


def test_what_a_container_wrote_as_it_ended_is_quoted(rig: KubeBench) -> None:
    variant = only_variant(rig, MISSING)
    said = "3 warnings\nmodel.joblib has another sha256 than the manifest says"
    ended = {"exitCode": 3, "reason": "Error", "message": said}
    status = {"name": "fetch", "image": "x", "imageID": "", "ready": False, "restartCount": 2}
    _set_status(rig, variant, {"initContainerStatuses": [{**status, "state": {"terminated": ended}}]})
    eventually(lambda: "fetched" in rig.readiness(variant).cause)
    expected = "the version could not be fetched: model.joblib has another sha256 than the manifest says"
    assert rig.readiness(variant).cause == expected


def test_a_pod_that_no_node_takes_waits_with_the_schedulers_words(rig: KubeBench) -> None:
    rig.sketch.change = _with_selector
    variant = only_variant(rig)
    eventually(lambda: rig.readiness(variant).cause.startswith("no node takes its pod"))
    waiting = rig.readiness(variant)
    assert waiting.state is ReadinessState.WAITING
    assert "didn't match Pod's node affinity/selector" in waiting.cause


def test_a_quota_that_is_exceeded_is_quoted_from_the_replica_set(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
    (variant,) = desired.variants
    rig.prepare(desired)
    rig.rollout.ensure(tenant_id("fraud"))
    rig.kubectl("patch", "-n", rig.namespace(), "quota", "kubeserve", "-p", '{"spec":{"hard":{"pods":"1"}}}')
    eventually(lambda: rig.get("v1", "ResourceQuota", "kubeserve")["status"].get("hard", {}).get("pods") == "1")
    rig.rollout.ensure(variant)
    failed = rig.wait_failed(variant)
    assert failed.cause.startswith("the tenant's quota is exceeded")
    assert "limited: pods=1" in failed.cause


def test_a_pod_that_the_cluster_refuses_says_why(rig: KubeBench) -> None:
    rig.sketch.change = _privileged
    failed = rig.wait_failed(only_variant(rig))
    assert failed.cause.startswith("the cluster refuses its pods")
    assert 'violates PodSecurity "restricted' in failed.cause


@pytest.mark.parametrize("edit", ["image", "nodeSelector"])
def test_what_was_healed_is_not_blamed_for_what_had_been_edited(rig: KubeBench, edit: str) -> None:
    rig.sketch.change = _impatient
    desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
    (variant,) = desired.variants
    rig.apply(desired, wait=True)
    broken = {
        "image": {"containers": [{"name": "server", "image": MISSING}]},
        "nodeSelector": {"nodeSelector": {"a": "b"}},
    }
    patch = json.dumps({"spec": {"template": {"spec": broken[edit]}}})
    rig.kubectl("patch", "-n", rig.namespace(), "deployment", variant.name, "-p", patch)
    rig.wait_failed(variant)
    eventually(lambda: DEADLINE in str(rig.get("apps/v1", "Deployment", variant.name)["status"]), "it is late")
    rig.prepare(desired).ensure(variant)
    seen = []

    def is_ready() -> bool:
        seen.append(rig.readiness(variant))
        return seen[-1].state is ReadinessState.READY

    eventually(is_ready, "it is healed")
    assert [one for one in seen if one.state is ReadinessState.FAILED] == []


def test_one_failure_spoils_no_others_answer(rig: KubeBench) -> None:
    rig.sketch.images["risk"] = CRASHING
    desired = rig.graph({"fraud/churn": "v1", "fraud/risk": "v1"})
    rig.apply(desired)
    by_name = {variant.deployment.name: variant.id for variant in desired.variants.values()}
    rig.wait_failed(by_name["risk"])
    rig.wait_ready(by_name["churn"])
    both = rig.rollout.readiness([by_name["churn"], by_name["risk"]])
    assert [both[by_name[n]].state for n in ("churn", "risk")] == [ReadinessState.READY, ReadinessState.FAILED]


def test_a_variant_that_is_gone_has_failed(rig: KubeBench) -> None:
    variant = only_variant(rig)
    rig.kubectl("delete", "-n", rig.namespace(), "deployment", variant.name)
    assert rig.wait_failed(variant).cause == "its Deployment is gone"


def test_traffic_never_moves_to_what_is_not_ready(rig: KubeBench) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1"}), wait=True)
    before = rig.get("v1", "Service", "churn")["spec"]
    rig.sketch.images["churn"] = MISSING
    broken = rig.graph({"fraud/churn": "v2"})
    (variant,) = broken.variants
    rig.prepare(broken)
    rig.rollout.ensure(variant)
    rig.wait_failed(variant)
    with pytest.raises(TargetError, match="Traffic can't move"):
        rig.rollout.route(deployment_id("fraud", "churn"))
    assert rig.get("v1", "Service", "churn")["spec"] == before


def test_removing_is_asked_until_nothing_is_left_and_may_be_asked_again(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=(1, 3))
    rig.apply(desired, wait=True)
    (tenant,) = desired.tenants
    with pytest.raises(TargetError, match="Tenant is not empty"):
        rig.rollout.remove(tenant)
    resources = (*desired.deployments, *desired.variants, *desired.tenants)
    live = rig.target.observe(EVERYTHING).resources
    for resource in resources:
        rig.rollout.remove(resource, live[resource].fingerprint)
        rig.remove(resource)
    assert rig.target.observe(EVERYTHING).resources == {}
    assert rig.kube.list("v1", "Pod", namespace=rig.namespace()) == []
    assert all(rig.rollout.remove(resource) for resource in resources)


def test_a_tenant_that_is_wanted_again_waits_until_its_old_namespace_is_gone(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    (tenant,) = desired.tenants
    rig.prepare(desired).ensure(tenant)
    rig.kubectl("patch", "namespace", rig.namespace(), "-p", '{"metadata":{"finalizers":["example.org/held"]}}')
    rig.rollout.remove(tenant)
    prepared = rig.prepare(desired).resources
    assert "Namespace is being deleted" in str(prepared[tenant].trouble)
    assert {prepared[deployment].trouble for deployment in desired.deployments} == {prepared[tenant].trouble}
    rig.kubectl("patch", "namespace", rig.namespace(), "-p", '{"metadata":{"finalizers":null}}')
    rig.remove(tenant)
    rig.apply(desired, wait=True)


def test_a_gateway_that_is_missing_is_an_error_of_the_plan_and_of_the_status(kubeconfig: Path) -> None:
    with kube_bench(kubeconfig, kubernetes={"routing": "gateway", "gateway": "nowhere/public"}) as rig:
        desired = rig.graph({"fraud/churn": "v1"})
        (deployment,) = desired.deployments
        assert "The Gateway does not exist" in str(rig.prepare(desired).resources[deployment].trouble)
        rig.prepare(desired).ensure(next(iter(desired.tenants)))
        for one in rig.sketch.render(desired)[deployment].objects:
            rig.kube.apply(one)
        route = rig.target.observe(EVERYTHING).routes[deployment]
        assert not route.reachable
        assert "Gateway nowhere/public does not exist" in route.cause


def _set_status(rig: KubeBench, variant: ResourceId, status: Object) -> None:
    """Says of a variant's pod what a kubelet would."""

    def pods() -> list[Object]:
        found = rig.kube.list("v1", "Pod", namespace=rig.namespace())
        return [pod for pod in found if (pod.get("status") or {}).get("containerStatuses")]

    (pod,) = eventually(pods)
    where = ("-n", rig.namespace(), "pod", pod["metadata"]["name"])
    rig.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


def _impatient(one: Object) -> Object:
    return {**one, "spec": {**one["spec"], "progressDeadlineSeconds": 1}} if one["kind"] == "Deployment" else one


def _with_selector(one: Object) -> Object:
    if one["kind"] != "Deployment":
        return one
    template = one["spec"]["template"]
    spec = {**template["spec"], "nodeSelector": {"example.org/none": "such"}}
    return {**one, "spec": {**one["spec"], "template": {**template, "spec": spec}}}


def _privileged(one: Object) -> Object:
    if one["kind"] != "Deployment":
        return one
    template = one["spec"]["template"]
    spec = {**template["spec"], "hostNetwork": True}
    return {**one, "spec": {**one["spec"], "template": {**template, "spec": spec}}}
