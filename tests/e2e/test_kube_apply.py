"""What the Kubernetes target writes, against a real API server: no more than differs, and nothing of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.described import FieldChange
from reconciler.model.resources import Scope, tenant_id
from reconciler.targets.kubernetes.objects.identity import INSTALLATION, MANAGER, Object, ObjectRef, Propagation
from reconciler.targets.protocol import TargetError
from specs.errors import KubeServeError
from tests.support.kubernetes.bench import EVERYTHING, KubeBench, kube_bench
from tests.support.kubernetes.cluster import bare_cluster

KEY = "AWS_SECRET_ACCESS_KEY"


@pytest.fixture
def rig(kubeconfig: Path) -> Iterator[KubeBench]:
    with kube_bench(kubeconfig) as bench:
        yield bench


def test_preparing_changes_nothing(rig: KubeBench) -> None:
    prepared = rig.prepare(rig.graph({"fraud/churn": "v1"}))
    assert all(resource.trouble is None and resource.changes for resource in prepared.resources.values())
    assert set(rig.kube.requests) == {"GET"}
    assert rig.target.observe(EVERYTHING).resources == {}


@pytest.mark.parametrize("replicas", [1, 3, (1, 4)])
@pytest.mark.parametrize("routing", ["service", "ingress"])
def test_what_was_applied_needs_nothing_more(kubeconfig: Path, routing: str, replicas: int | tuple[int, int]) -> None:
    with kube_bench(kubeconfig, kubernetes={"routing": routing}) as rig:
        desired = rig.graph({"fraud/churn": "v1", "risk/score": "v2"}, replicas=replicas)
        rig.apply(desired)
        assert rig.changes(desired) == []
        before = dict(rig.kube.requests)
        rig.apply(desired)
        assert {verb: n for verb, n in rig.kube.requests.items() if verb != "GET"} == {
            verb: n for verb, n in before.items() if verb != "GET"
        }


def test_all_that_a_tenant_may_be_granted_is_taken_by_the_cluster_as_it_is_written(kubeconfig: Path) -> None:
    hub = {"name": "hub", "cidrs": ["203.0.113.0/24", "2001:db8::/32"], "ports": [443]}
    grant = {"quota": {"cpu": "1500m", "memory": "1536Mi", "pods": 7}, "egress": ["package-index", hub]}
    access = {"serviceAccountAnnotations": {"example.org/role": "reader"}}
    store = {"type": "s3", "bucket": "models", "podEndpoint": "http://10.85.0.1:9000", "podAccess": access}
    kubernetes = {"gatewayNamespace": "platform", "monitoringNamespace": "monitoring"}
    with kube_bench(kubeconfig, tenants={"fraud": grant}, artifactStore=store, kubernetes=kubernetes) as rig:
        desired = rig.graph({"fraud/churn": "v1"})
        rig.apply(desired)
        assert rig.changes(desired) == []
        assert len(rig.kube.list("networking.k8s.io/v1", "NetworkPolicy", namespace=rig.namespace())) == 7


def test_a_target_that_is_built_anew_sees_the_same(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    rig.apply(desired)
    (variant,) = desired.variants.values()
    fingerprints = rig.fingerprints()
    rig.target = rig.new_target()
    assert rig.fingerprints() == fingerprints
    found = rig.live_variant(variant.id)
    assert (found.digest, found.deployment, found.version) == (variant.digest, variant.deployment, "v1")


def test_observing_is_narrowed_to_a_tenant_and_a_deployment(rig: KubeBench) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1", "risk/score": "v2"}))
    assert {resource.tenant for resource in rig.target.observe(Scope.of("risk")).resources} == {"risk"}
    narrowed = rig.target.observe(Scope.of("fraud/other")).resources
    assert {str(resource) for resource in narrowed} == {"tenant/fraud"}


def test_more_replicas_are_a_change_in_the_words_of_the_spec(rig: KubeBench) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1"}, replicas=1))
    more = rig.graph({"fraud/churn": "v1"}, replicas=2)
    (variant,) = more.variants
    changed = rig.plan(more).by_id[variant]
    assert changed.fields == (FieldChange("replicas", "1", "2"),)
    assert not changed.drift
    rig.apply(more)
    assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 2
    assert rig.changes(more) == []


def test_a_scaled_deployment_is_drift_and_goes_back(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
    (variant,) = desired.variants
    rig.apply(desired)
    fingerprint = rig.live(variant).fingerprint
    rig.kubectl("scale", "-n", rig.namespace(), f"deployment/{variant.name}", "--replicas=1")
    drifted = rig.prepare(desired).resources[variant]
    assert drifted.drift
    assert drifted.changes == (FieldChange("running replicas", "1", "2"),)
    assert rig.live(variant).fingerprint != fingerprint
    rig.apply(desired)
    assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 2
    assert rig.changes(desired) == []


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ('{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"other:2"}]}}}}', "image"),
        ('{"spec":{"template":{"spec":{"containers":[{"name":"server","env":[{"name":"X","value":"1"}]}]}}}}', "env"),
        ('{"spec":{"template":{"spec":{"hostNetwork":true}}}}', "hostNetwork"),
        ('{"spec":{"template":{"spec":{"containers":[{"name":"spy","image":"spy:1"}]}}}}', "spy"),
        ('{"spec":{"replicas":1,"template":{"spec":{"nodeSelector":{"a":"b"}}}}}', "nodeSelector"),
    ],
)
def test_what_was_edited_is_drift_and_is_taken_back(rig: KubeBench, patch: str, field: str) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
    (variant,) = desired.variants
    rig.apply(desired)
    before = rig.get("apps/v1", "Deployment", variant.name)["spec"]
    rig.kubectl("patch", "-n", rig.namespace(), "deployment", variant.name, "-p", patch)
    drifted = rig.prepare(desired).resources[variant]
    assert drifted.drift
    assert field in str(drifted.changes)
    rig.apply(desired)
    assert rig.get("apps/v1", "Deployment", variant.name)["spec"] == before
    assert rig.changes(desired) == []


def test_a_number_of_replicas_that_an_autoscaler_chose_is_left_and_an_edit_beside_it_taken_back(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=(1, 5))
    (variant,) = desired.variants
    rig.apply(desired)
    fingerprint = rig.live(variant).fingerprint
    rig.kubectl("scale", "-n", rig.namespace(), f"deployment/{variant.name}", "--replicas=4")
    assert rig.changes(desired) == []
    assert rig.live(variant).fingerprint == fingerprint
    patch = '{"spec":{"replicas":3,"template":{"spec":{"hostNetwork":true}}}}'
    rig.kubectl("patch", "-n", rig.namespace(), "deployment", variant.name, "-p", patch)
    rig.apply(desired)
    spec = rig.get("apps/v1", "Deployment", variant.name)["spec"]
    assert (spec["replicas"], "hostNetwork" in spec["template"]["spec"]) == (3, False)
    assert rig.changes(desired) == []


def test_a_number_of_replicas_that_an_autoscaler_chooses_after_the_plan_is_left(rig: KubeBench) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1"}, replicas=(1, 5)))
    wanted = rig.graph({"fraud/churn": "v1"}, replicas=(1, 6))
    (variant,) = wanted.variants
    rig.kubectl("scale", "-n", rig.namespace(), f"deployment/{variant.name}", "--replicas=2")
    rig.prepare(wanted)
    rig.kubectl("scale", "-n", rig.namespace(), f"deployment/{variant.name}", "--replicas=5")
    rig.rollout.ensure(variant)
    assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 5
    assert rig.changes(wanted) == []


def test_what_was_deleted_is_drift_and_is_made_again(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=(1, 2))
    (variant,) = desired.variants
    rig.apply(desired)
    namespace = rig.namespace()
    rig.kubectl("delete", "-n", namespace, "--wait=false", f"hpa/{variant.name}", "service/churn", "quota/kubeserve")
    prepared = rig.prepare(desired).resources
    assert {str(resource) for resource in prepared if prepared[resource].changes} == {
        *("tenant/fraud", f"variant/fraud/{variant.name}", "deployment/fraud/churn")
    }
    assert prepared[variant].drift
    assert prepared[tenant_id("fraud")].drift
    rig.apply(desired)
    assert rig.changes(desired) == []


def test_from_fixed_to_autoscaled_and_back_no_pod_is_lost(rig: KubeBench) -> None:
    fixed, autoscaled = (rig.graph({"fraud/churn": "v1"}, replicas=replicas) for replicas in (3, (2, 5)))
    (variant,) = fixed.variants

    def replicas() -> int:
        return int(rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"])

    rig.apply(fixed)
    rig.apply(autoscaled)
    assert replicas() == 3
    assert rig.changes(autoscaled) == []
    rig.kubectl("scale", "-n", rig.namespace(), f"deployment/{variant.name}", "--replicas=5")
    rig.apply(rig.graph({"fraud/churn": "v1"}, replicas=(1, 5)))
    assert replicas() == 5
    rig.apply(fixed)
    assert replicas() == 3
    assert rig.changes(fixed) == []
    assert rig.kube.list("autoscaling/v2", "HorizontalPodAutoscaler", namespace=rig.namespace()) == []


def test_a_new_variant_starts_with_as_many_as_are_asked_for(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=(1, 5))
    (variant,) = desired.variants
    prepared = rig.apply(desired, replicas=4)
    assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 4
    prepared.ensure(variant)
    assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 4
    assert rig.changes(desired) == []


def test_a_field_that_another_manager_applies_is_named_and_left_alone_unless_it_is_forced(kubeconfig: Path) -> None:
    with kube_bench(kubeconfig) as rig:
        desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
        (variant,) = desired.variants
        rig.apply(desired)
        taken = _bare(rig.get("apps/v1", "Deployment", variant.name), replicas=7)
        rig.kube.apply(taken, manager="another-operator", force=True)
        prepared = rig.prepare(desired)
        with pytest.raises(TargetError, match=r"another-operator applies \.spec\.replicas"):
            prepared.ensure(variant)
        assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 7
        rig.platform = rig.platform.model_copy(
            update={"kubernetes": rig.platform.kubernetes.model_copy(update={"force": True})}
        )
        rig.target = rig.new_target()
        rig.apply(desired)
        assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 2


def test_what_can_not_be_changed_in_place_is_an_error_before_anything_is_touched(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=(1, 3))
    (variant,) = desired.variants
    rig.apply(desired)

    def changed(one: Object) -> Object:
        if one["kind"] == "Service":
            return {**one, "spec": {**one["spec"], "clusterIP": "None"}}
        if one["kind"] == "Deployment":
            return {**one, "spec": {**one["spec"], "minReadySeconds": 7}}
        return one

    rig.sketch.change = changed
    before = rig.fingerprints()
    with pytest.raises(TargetError, match="can't be changed in place"):
        rig.prepare(desired).ensure(variant)
    assert rig.fingerprints() == before


def test_what_is_no_longer_rendered_goes(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=3)
    (variant,) = desired.variants
    rig.apply(desired)
    assert rig.kube.list("policy/v1", "PodDisruptionBudget", namespace=rig.namespace())
    fewer = rig.graph({"fraud/churn": "v1"}, replicas=1)
    rig.apply(fewer)
    assert rig.kube.list("policy/v1", "PodDisruptionBudget", namespace=rig.namespace()) == []
    assert rig.changes(fewer) == []
    assert rig.live(variant)


def test_an_object_of_others_that_bears_the_name_is_left_alone(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    (deployment,) = desired.deployments
    rig.prepare(desired).ensure(tenant_id("fraud"))
    rig.kubectl("create", "-n", rig.namespace(), "service", "clusterip", "churn", "--tcp=80")
    before = rig.get("v1", "Service", "churn")
    with pytest.raises(TargetError, match="The name is taken"):
        rig.prepare(desired).ensure(deployment)
    assert rig.get("v1", "Service", "churn") == before


def test_what_lost_our_labels_is_ours_all_the_same(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    (variant,) = desired.variants
    rig.apply(desired)
    rig.kubectl("label", "-n", rig.namespace(), f"service/{variant.name}", f"{INSTALLATION}-")
    rig.apply(desired)
    assert rig.changes(desired) == []


def test_a_namespace_of_others_is_refused_until_it_is_adopted(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    rig.kubectl("create", "namespace", rig.namespace())
    refused = rig.prepare(desired).resources[tenant_id("fraud")]
    assert "belongs to somebody else" in str(refused.trouble)
    with pytest.raises(ValueError, match="belongs to somebody else"):
        rig.rollout.ensure(tenant_id("fraud"))
    assert len(rig.kube.list("v1", "ResourceQuota", namespace=rig.namespace())) == 0
    adopt = str(refused.trouble).partition("kubectl ")[2].split()
    rig.kubectl(*adopt)
    rig.apply(desired)
    assert rig.changes(desired) == []


def test_another_installation_neither_sees_nor_touches_ours(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    rig.apply(desired)
    before = rig.fingerprints()
    other = KubeBench(rig.kubeconfig, "other", kubernetes={"namespacePrefix": rig.platform.kubernetes.namespace_prefix})
    assert other.target.observe(EVERYTHING).resources == {}
    with pytest.raises(ValueError, match="another installation"):
        other.prepare(desired).ensure(tenant_id("fraud"))
    for resource in (*desired.deployments, *desired.variants, *desired.tenants):
        with pytest.raises(TargetError, match="Not ours"):
            other.rollout.remove(resource)
    assert rig.fingerprints() == before


def test_what_changed_since_the_plan_is_not_removed(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
    (variant,) = desired.variants
    rig.apply(desired)
    fingerprint = rig.live(variant).fingerprint
    rig.kubectl("scale", "-n", rig.namespace(), f"deployment/{variant.name}", "--replicas=1")
    with pytest.raises(TargetError, match="Changed since it was planned"):
        rig.rollout.remove(variant, fingerprint)
    assert rig.live(variant)


def test_while_a_deployment_goes_alone_what_tells_of_its_variant_stays(tmp_path: Path) -> None:
    """On an API server without a garbage collector, which might be quicker."""
    with bare_cluster(tmp_path / "server") as found, kube_bench(found.kubeconfig) as rig:
        desired = rig.graph({"fraud/churn": "v1"}, replicas=2)
        (variant,) = desired.variants
        rig.apply(desired)
        going = rig.get("apps/v1", "Deployment", variant.name)
        rig.kube.delete(ObjectRef.of(going), going["metadata"]["uid"], propagation=Propagation.ORPHAN)
        assert not rig.rollout.remove(variant)
        assert rig.kube.list("policy/v1", "PodDisruptionBudget", namespace=rig.namespace()) == []
        assert rig.get("v1", "Service", variant.name)
        where = ("-n", rig.namespace(), "deployment", variant.name)
        rig.kubectl("patch", *where, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert rig.rollout.remove(variant)
        assert variant not in rig.target.observe(EVERYTHING).resources


def test_a_status_moves_no_fingerprint(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    (variant,) = desired.variants
    rig.apply(desired)
    before = rig.fingerprints()
    patch = '{"status":{"observedGeneration":1,"replicas":1,"readyReplicas":1,"updatedReplicas":1}}'
    where = ("-n", rig.namespace(), "deployment", variant.name)
    rig.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", patch)
    rig.kubectl("annotate", *where, "deployment.kubernetes.io/revision=3", "--overwrite")
    assert rig.fingerprints() == before


def test_the_operators_secret_is_copied_by_name_and_again_when_it_changes(kubeconfig: Path) -> None:
    with kube_bench(kubeconfig) as rig:
        source = rig.namespace("operator")
        rig.kubectl("create", "namespace", source)
        rig.platform = rig.platform.model_copy(
            update={
                "artifact_store": rig.platform.artifact_store.model_copy(
                    update={"pod_access": _access(f"{source}/store")}
                )
            }
        )
        rig.target = rig.new_target()
        desired = rig.graph({"fraud/churn": "v1"})
        missing = rig.prepare(desired).resources[tenant_id("fraud")]
        assert "A Secret of the operator is missing" in str(missing.trouble)
        rig.kubectl("create", "secret", "generic", "store", "-n", source, "--from-literal=AWS_ACCESS_KEY_ID=id")
        lacking = rig.prepare(desired).resources[tenant_id("fraud")]
        assert "store has no AWS_SECRET_ACCESS_KEY" in str(lacking.trouble)
        rig.kubectl("patch", "secret", "store", "-n", source, "-p", f'{{"stringData":{{"{KEY}":"one-hidden-value"}}}}')
        prepared = rig.apply(desired)
        assert rig.get("v1", "Secret", "kubeserve-store")["data"][KEY] == "b25lLWhpZGRlbi12YWx1ZQ=="
        assert "hidden" not in str((prepared, rig.target.observe(EVERYTHING)))
        assert "b25l" not in str((prepared, rig.target.observe(EVERYTHING)))
        assert rig.changes(desired) == []
        rig.kubectl("delete", "secret", "kubeserve-store", "-n", rig.namespace())
        rig.apply(rig.graph({"fraud/churn": "v2"}))
        assert rig.get("v1", "Secret", "kubeserve-store")["data"][KEY] == "b25lLWhpZGRlbi12YWx1ZQ=="
        rig.apply(desired)
        assert rig.changes(desired) == []
        rig.kubectl("patch", "secret", "store", "-n", source, "-p", f'{{"stringData":{{"{KEY}":"two"}}}}')
        assert rig.changes(desired)
        rig.apply(desired)
        assert rig.get("v1", "Secret", "kubeserve-store")["data"][KEY] == "dHdv"
        assert rig.changes(desired) == []


def test_a_deployment_whose_stable_service_is_gone_answers_nobody(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    rig.apply(desired)
    (deployment,) = desired.deployments
    assert rig.live_route(deployment).reachable
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    service = rig.get("v1", "Service", "churn")
    backend = {"service": {"name": "churn", "port": {"number": 80}}}
    spec = {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}
    metadata = {key: service["metadata"][key] for key in ("name", "namespace", "labels")}
    rig.kube.apply({**ingress, "metadata": metadata, "spec": spec})
    rig.kubectl("delete", "service", "churn", "-n", rig.namespace())
    assert not rig.live_route(deployment).reachable


def test_an_autoscaled_variant_starts_at_its_minimum(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"}, replicas=(3, 5))
    (variant,) = desired.variants
    rig.apply(desired)
    assert rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"] == 3
    assert rig.changes(desired) == []


def test_what_can_not_be_rendered_is_left_as_it_is(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    rig.apply(desired)
    before = rig.fingerprints()
    rig.sketch.fails = KubeServeError("The template is broken")
    prepared = rig.prepare(desired).resources
    for resource in (*desired.variants, *desired.deployments):
        assert prepared[resource].changes == ()
        with pytest.raises(ValueError, match="The template is broken"):
            rig.rollout.ensure(resource)
        with pytest.raises(ValueError, match="The template is broken"):
            rig.rollout.route(resource)
    assert rig.fingerprints() == before


def test_what_was_removed_made_again_and_removed_again_goes(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    (variant,) = desired.variants
    for _ in range(2):
        rig.prepare(desired).ensure(tenant_id("fraud"))
        rig.prepare(desired).ensure(variant)
        rig.rollout.remove(variant)
        assert rig.kube.list("apps/v1", "Deployment", namespace=rig.namespace()) == []


def test_everything_is_written_by_our_own_field_manager(rig: KubeBench) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1"}))
    for one in rig.kube.list("apps/v1", "Deployment", namespace=rig.namespace()):
        ours = [e for e in one["metadata"]["managedFields"] if e["manager"] == MANAGER]
        assert [entry["operation"] for entry in ours] == ["Apply"]


def _bare(one: Object, **spec: object) -> Object:
    ref = ObjectRef.of(one)
    metadata = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata, "spec": spec}


def _access(secret: str) -> object:
    from specs.models.cluster import StoreAccess

    return StoreAccess(secret=secret)
