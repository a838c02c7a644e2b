"""What can't be changed in place, on pretended nodes under real controllers: replaced when the plan says so, and nobody
who serves is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.described import FieldChange
from reconciler.model.resources import Desired, ResourceId
from reconciler.targets.kubernetes.objects.identity import DEPLOYMENT, VARIANT, Object, ObjectRef, Propagation, selector
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.protocol import ObjectAction, Prepared, ReadinessState, TargetError
from specs.errors import KubeServeError
from tests.support.kubernetes.bench import EVERYTHING, IMAGE, KubeBench, kube_bench
from tests.support.kubernetes.cluster import Cluster
from tests.support.patience import eventually

MISSING = "registry.example.org/runtime:missing"


@pytest.fixture(scope="module")
def kubeconfig(api_server: Cluster) -> Path:
    api_server.need_pretended_nodes()
    return api_server.kubeconfig


@pytest.fixture
def rig(kubeconfig: Path) -> Iterator[KubeBench]:
    with kube_bench(kubeconfig) as bench:
        yield bench


def selecting(*more: str, labelled: bool = True) -> Any:
    """A chart whose Deployments also select by the label of the deployment, or by one that it makes up."""

    def change(one: Object) -> Object:
        if one["kind"] != "Deployment":
            return one
        labels = one["spec"]["template"]["metadata"]["labels"]
        chosen = {VARIANT: labels[VARIANT]} | {name: labels.get(name, "1") for name in more}
        template = {**one["spec"]["template"], "metadata": {"labels": labels | chosen if labelled else labels}}
        return {**one, "spec": {**one["spec"], "selector": {"matchLabels": chosen}, "template": template}}

    return change


def applied(rig: KubeBench, *labels: str, replicas: Any = 2) -> tuple[Desired, ResourceId]:
    """Served by a chart that selects by these labels too; from then on by one that does not."""
    rig.sketch.change = selecting(*labels)
    desired = rig.graph({"fraud/churn": "v1"}, replicas=replicas)
    rig.apply(desired, wait=True)
    rig.sketch.change = selecting()
    (variant,) = desired.variants
    return desired, variant


def pods(rig: KubeBench) -> set[str]:
    found = rig.kube.list("v1", "Pod", labels=selector(rig.platform.installation))
    return {one["metadata"]["uid"] for one in found if not one["metadata"].get("deletionTimestamp")}


def uid(rig: KubeBench, variant: ResourceId) -> str:
    return str(rig.get("apps/v1", "Deployment", variant.name)["metadata"]["uid"])


def replaced(rig: KubeBench, prepared: Prepared, variant: ResourceId) -> list[str]:
    changes = prepared.object_changes(variant)
    return [one.object.split()[0] for one in changes if one.action is ObjectAction.REPLACE]


def test_a_deployment_is_made_again_around_pods_that_go_on_serving(rig: KubeBench) -> None:
    desired, variant = applied(rig, DEPLOYMENT)
    before, old = pods(rig), uid(rig, variant)
    prepared = rig.prepare(desired)
    assert "its pods stay and keep serving" in prepared.resources[variant].replacement
    assert replaced(rig, prepared, variant) == ["Deployment"]
    assert prepared.object_changes(variant)[0].fields[0] == FieldChange(
        "spec.selector", *(str({"matchLabels": chosen}) for chosen in _selectors(variant))
    )
    rig.apply(desired, wait=True)
    assert uid(rig, variant) != old
    assert pods(rig) == before
    assert rig.changes(desired) == []


def test_as_many_replicas_as_an_autoscaler_chose_outlive_it(rig: KubeBench) -> None:
    desired, variant = applied(rig, DEPLOYMENT, replicas=(1, 5))
    scale(rig, variant, 3)
    before = pods(rig)
    rig.apply(desired, wait=True)
    assert (replicas(rig, variant), pods(rig)) == (3, before)
    assert rig.changes(desired) == []
    rig.apply(rig.graph({"fraud/churn": "v1"}, replicas=(1, 4)))
    assert replicas(rig, variant) == 3


def test_as_many_as_an_autoscaler_chooses_after_the_plan_outlive_it(rig: KubeBench) -> None:
    desired, variant = applied(rig, DEPLOYMENT, replicas=(1, 5))
    scale(rig, variant, 2)
    rig.prepare(desired)
    scale(rig, variant, 4)
    before = pods(rig)
    rig.rollout.ensure(variant)
    rig.wait_ready(variant)
    assert (replicas(rig, variant), pods(rig)) == (4, before)


def test_as_many_as_an_autoscaler_chooses_right_before_the_old_one_goes_outlive_it(
    rig: KubeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    desired, variant = applied(rig, DEPLOYMENT, replicas=(1, 5))
    rig.prepare(desired)
    get = rig.kube.get

    def get_and_scale(ref: ObjectRef) -> Object | None:
        found = get(ref)
        monkeypatch.undo()
        scale(rig, variant, 3)
        return found

    monkeypatch.setattr(rig.kube, "get", get_and_scale)
    rig.rollout.ensure(variant)
    rig.wait_ready(variant)
    assert (replicas(rig, variant), len(pods(rig))) == (3, 3)


def test_what_got_ready_after_the_plan_is_not_interrupted(rig: KubeBench) -> None:
    rig.sketch.images["churn"] = MISSING
    desired = rig.graph({"fraud/churn": "v1"})
    (variant,) = desired.variants
    rig.apply(desired)
    rig.wait_failed(variant)
    rig.sketch.change = selecting("more")
    prepared = rig.prepare(desired).resources[variant]
    assert "are started again" in prepared.replacement
    images = (f"{container}={IMAGE}" for container in ("server", "fetch"))
    rig.kubectl("set", "image", "-n", rig.namespace(), f"deployment/{variant.name}", *images)
    eventually(lambda: ready(rig, variant) == len(pods(rig)) == 1, "its pod is ready, and the broken one is gone")
    before, old = pods(rig), uid(rig, variant)
    with pytest.raises(TargetError, match="without an interruption"):
        rig.rollout.ensure(variant)
    assert (uid(rig, variant), pods(rig)) == (old, before)


def test_what_would_interrupt_who_serves_is_an_error_of_the_plan(rig: KubeBench) -> None:
    desired, variant = applied(rig)
    rig.sketch.change = selecting("more")
    old = uid(rig, variant)
    refused = rig.prepare(desired).resources[variant]
    assert refused.trouble is not None
    assert "without an interruption" in refused.trouble.summary
    assert f"kubectl delete deployment {variant.name} -n {rig.namespace()}" in refused.trouble.detail
    with pytest.raises(ValueError, match="can't be applied"):
        rig.rollout.ensure(variant)
    assert uid(rig, variant) == old


@pytest.mark.parametrize("traffic", [{"v1": 100, "v2": 0}, {"v1": 100}])
def test_what_answers_nobody_is_made_again_and_not_blamed_for_the_pods_that_it_had(
    rig: KubeBench, traffic: dict[str, int]
) -> None:
    desired = rig.graph({"fraud/churn": traffic})
    *serving, idle = desired.variants

    def of_idle(change: Any) -> Any:
        return lambda one: change(one) if one["metadata"]["name"] == idle.name else one

    rig.sketch.change = of_idle(without_image)
    rig.apply(desired)
    rig.wait_failed(idle)
    rig.wait_ready(*serving)
    (broken,) = rig.kube.list("apps/v1", "ReplicaSet", labels=f"{VARIANT}={idle.name}", namespace=rig.namespace())
    hold(rig, "replicaset", broken["metadata"]["name"])  # as a garbage collector that is slow does
    old = uid(rig, idle)
    rig.sketch.change = of_idle(selecting("more"))
    prepared = rig.prepare(desired)
    assert "are started again" in prepared.resources[idle].replacement
    assert prepared.resources[idle].trouble is None
    prepared.ensure(idle)
    assert uid(rig, idle) != old
    assert ReadinessState.FAILED not in states_until_ready(rig, idle)
    release(rig, "replicaset", broken["metadata"]["name"])
    eventually(lambda: len(pods(rig)) == len(desired.variants), "the old pod goes")
    assert rig.changes(desired) == []


def test_what_could_not_be_made_costs_nothing_that_is_there(rig: KubeBench) -> None:
    desired, variant = applied(rig, DEPLOYMENT)

    def broken(one: Object) -> Object:
        if one["kind"] != "Deployment":
            return one
        (container,) = one["spec"]["template"]["spec"]["containers"]
        container["ports"] = [{**port, "containerPort": 99999} for port in container["ports"]]
        return one

    rig.sketch.change = broken
    old = uid(rig, variant)
    with pytest.raises(KubeServeError, match="99999"):
        rig.prepare(desired).ensure(variant)
    assert uid(rig, variant) == old


def test_killed_between_the_old_and_the_new_the_next_round_goes_on_with_the_same_pods(rig: KubeBench) -> None:
    desired, variant = applied(rig, DEPLOYMENT)
    before = pods(rig)
    orphan(rig, variant)
    rig.target = rig.new_target()
    rig.apply(desired, wait=True)
    assert pods(rig) == before
    assert rig.changes(desired) == []


def test_killed_in_between_as_many_replicas_as_an_autoscaler_chose_go_on(rig: KubeBench) -> None:
    desired, variant = applied(rig, DEPLOYMENT, replicas=(1, 5))
    scale(rig, variant, 3)
    before = pods(rig)
    orphan(rig, variant)
    rig.target = rig.new_target()
    rig.apply(desired, wait=True)
    assert (replicas(rig, variant), pods(rig)) == (3, before)
    assert rig.changes(desired) == []
    rig.apply(rig.graph({"fraud/churn": "v1"}, replicas=(1, 4)))
    assert replicas(rig, variant) == 3


def test_what_somebody_removes_alone_is_waited_for_and_made_again_around_its_pods(rig: KubeBench) -> None:
    desired, variant = applied(rig, replicas=(1, 5))
    scale(rig, variant, 3)
    before = pods(rig)
    remove_alone(rig, variant)
    hasty = rig.new_target(Timing(removal=0.0))
    with pytest.raises(TargetError, match="Still being removed"):
        hasty.prepare(desired, hasty.observe(EVERYTHING)).ensure(variant)
    prepared = rig.prepare(desired)
    release(rig, "deployment", variant.name)
    prepared.ensure(variant)
    rig.wait_ready(variant)
    assert (replicas(rig, variant), pods(rig)) == (3, before)
    assert rig.changes(desired) == []


def test_killed_in_between_and_no_longer_wanted_its_pods_go(rig: KubeBench) -> None:
    desired, variant = applied(rig, DEPLOYMENT)
    orphan(rig, variant)
    rig.target = rig.new_target()
    (deployment,) = desired.deployments
    rig.remove(deployment, variant)
    assert pods(rig) == set()


def test_what_somebody_removes_alone_is_removed_with_its_pods_once_it_is_gone(rig: KubeBench) -> None:
    _, variant = applied(rig)
    remove_alone(rig, variant)
    assert not rig.rollout.remove(variant)
    release(rig, "deployment", variant.name)
    rig.remove(variant)
    assert pods(rig) == set()


def test_a_removal_that_is_killed_while_somebody_removes_it_alone_leaves_no_pods_that_nobody_sees(
    rig: KubeBench,
) -> None:
    _, variant = applied(rig)
    remove_alone(rig, variant)
    assert not rig.rollout.remove(variant)
    release(rig, "deployment", variant.name)
    eventually(lambda: rig.kube.list("apps/v1", "Deployment", namespace=rig.namespace()) == [], "it is gone")
    remove_in_another_round(rig, variant)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_removal_that_is_killed_leaves_no_pods_that_nobody_sees(rig: KubeBench, writes: int) -> None:
    _, variant = applied(rig)
    orphan(rig, variant)
    rig.kube.guard(dying_after(writes))
    with pytest.raises(Killed):
        rig.rollout.remove(variant)
    rig.kube.guard(lambda: None)
    remove_in_another_round(rig, variant)


def test_a_variant_is_not_gone_while_something_may_yet_make_pods(rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    (variant,) = desired.variants
    rig.apply(desired, wait=True)
    scale(rig, variant, 0)
    eventually(lambda: pods(rig) == set(), "no pod is left")
    (replica_set,) = rig.kube.list("apps/v1", "ReplicaSet", namespace=rig.namespace())
    hold(rig, "replicaset", replica_set["metadata"]["name"])
    assert not rig.rollout.remove(variant)
    assert not rig.rollout.remove(variant)
    release(rig, "replicaset", replica_set["metadata"]["name"])
    rig.remove(variant)
    assert rig.kube.list("apps/v1", "ReplicaSet", namespace=rig.namespace()) == []


def test_what_is_on_its_way_out_is_waited_for_and_made_again(rig: KubeBench) -> None:
    desired, variant = applied(rig)
    old = uid(rig, variant)
    rig.kubectl("delete", "deployment", "-n", rig.namespace(), variant.name, "--cascade=foreground", "--wait=false")
    rig.apply(desired, wait=True)
    assert uid(rig, variant) != old
    assert rig.changes(desired) == []


def without_image(one: Object) -> Object:
    if one["kind"] != "Deployment":
        return one
    spec = one["spec"]["template"]["spec"]
    containers = [{**container, "image": MISSING} for container in spec["containers"]]
    template = {**one["spec"]["template"], "spec": {**spec, "containers": containers}}
    return {**one, "spec": {**one["spec"], "template": template}}


def states_until_ready(rig: KubeBench, variant: ResourceId) -> set[ReadinessState]:
    """All that are told on the way."""
    seen: set[ReadinessState] = set()

    def is_ready() -> bool:
        seen.add(rig.readiness(variant).state)
        return ReadinessState.READY in seen

    eventually(is_ready, f"ready: {variant}")
    return seen


def replicas(rig: KubeBench, variant: ResourceId) -> int:
    return int(rig.get("apps/v1", "Deployment", variant.name)["spec"]["replicas"])


def scale(rig: KubeBench, variant: ResourceId, number: int) -> None:
    """As an autoscaler does; returns once as many are ready."""
    rig.kubectl("scale", "-n", rig.namespace(), f"deployment/{variant.name}", f"--replicas={number}")
    eventually(lambda: ready(rig, variant) == number, f"{number} are ready")


def ready(rig: KubeBench, variant: ResourceId) -> int:
    return int(rig.get("apps/v1", "Deployment", variant.name)["status"].get("readyReplicas", 0))


def hold(rig: KubeBench, kind: str, name: str) -> None:
    """It can be asked to go, and stays until it is released."""
    patch = '{"metadata":{"finalizers":["example.org/held"]}}'
    rig.kubectl("patch", "-n", rig.namespace(), kind, name, "--type=merge", "-p", patch)


def release(rig: KubeBench, kind: str, name: str) -> None:
    rig.kubectl("patch", "-n", rig.namespace(), kind, name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def orphan(rig: KubeBench, variant: ResourceId) -> None:
    ref = ObjectRef("apps/v1", "Deployment", rig.namespace(), variant.name)
    rig.kube.delete(ref, uid(rig, variant), propagation=Propagation.ORPHAN)
    eventually(lambda: rig.kube.get(ref) is None, "the Deployment goes alone")


def remove_alone(rig: KubeBench, variant: ResourceId) -> None:
    """As people do; it stays on its way out until it is released."""
    hold(rig, "deployment", variant.name)
    rig.kubectl("delete", "deployment", "-n", rig.namespace(), variant.name, "--cascade=orphan", "--wait=false")


def remove_in_another_round(rig: KubeBench, variant: ResourceId) -> None:
    """Which knows no more than what it observes."""
    rig.target = rig.new_target()
    if variant in rig.target.observe(EVERYTHING).resources:
        rig.remove(variant)
    eventually(lambda: pods(rig) == set(), "its pods go")


class Killed(BaseException):
    """What nobody catches."""


def dying_after(writes: int) -> Callable[[], None]:
    left = iter(range(writes))

    def check() -> None:
        if next(left, None) is None:
            raise Killed

    return check


def _selectors(variant: ResourceId) -> tuple[dict[str, str], dict[str, str]]:
    narrow = {VARIANT: variant.name}
    return {DEPLOYMENT: "churn", **narrow}, narrow
