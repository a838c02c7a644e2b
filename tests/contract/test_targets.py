"""What every target does, in the words of `targets/protocol.py`: what the tests use beside it is all in `Bench`.

`rig` is each target, the tests' own in memory among them; for Kubernetes with pretended pods, which is quick. `served`
is each where models really run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.model.described import FieldChange
from reconciler.model.resources import Desired, Replicas, Scope, SecretRef
from reconciler.targets.protocol import DeploymentTarget, ReadinessState, TargetError
from tests.support.engine.memory_bench import MemoryBench
from tests.support.kubernetes.cluster import cluster
from tests.support.kubernetes.contract import ContractGround, contract_ground, kube_contract_bench
from tests.support.kubernetes.helm import helm
from tests.support.kubernetes.real_pods import real_pods
from tests.support.kubernetes.real_pods_contract import real_pods_bench
from tests.support.local.bench import EVERYTHING, Bench, bench_at
from tests.support.patience import eventually
from tests.support.runtime.predictors import RAISES

READS = """
    import os

    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            return [os.environ["TOKEN"] for _ in inputs]
"""


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContractGround]:
    folder = tmp_path_factory.mktemp("cluster")
    with cluster(folder / "server") as found:
        found.need_pretended_nodes()
        with contract_ground(folder, found.kubeconfig) as made:
            yield made


@pytest.fixture(params=["memory", "local", "kubernetes"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    match request.param:
        case "memory":
            yield MemoryBench(tmp_path)
        case "local":
            with bench_at(tmp_path) as bench:
                yield bench
        case _:
            with suppress(pytest.skip.Exception):  # then objects are rendered as the product renders them
                monkeypatch.setenv("KUBESERVE_HELM", str(helm()))
            with kube_contract_bench(tmp_path, request.getfixturevalue("ground")) as bench:
                yield bench


@pytest.fixture(params=["local", "pods"])
def served(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Where model servers really run, logs and all."""
    if request.param == "local":
        with bench_at(tmp_path) as bench:
            yield bench
    else:
        place = real_pods()
        monkeypatch.setenv("KUBESERVE_HELM", str(helm()))
        with real_pods_bench(tmp_path, place) as bench:
            yield bench


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Bench]:
    """The local target, where nothing else scales, and nobody else keeps a log."""
    with bench_at(tmp_path) as bench:
        yield bench


def test_a_target_keeps_the_protocol(rig: Bench) -> None:
    target: DeploymentTarget = rig.target
    assert target.name
    assert target.runtime


def test_nothing_is_live_at_first(rig: Bench) -> None:
    assert rig.target.observe(EVERYTHING).resources == {}


def test_preparing_covers_everything_and_changes_nothing(rig: Bench) -> None:
    desired = rig.desired(rig.variant())
    prepared = rig.prepare(desired)
    assert prepared.resources.keys() == {*desired.tenants, *desired.variants, *desired.deployments}
    assert all(resource.trouble is None for resource in prepared.resources.values())
    assert rig.target.observe(EVERYTHING).resources == {}


def test_what_was_applied_is_live_under_its_id_and_needs_nothing_more(rig: Bench) -> None:
    variant = rig.variant(env={"LEVEL": "info"})
    desired = rig.desired(variant)
    prepared = rig.apply(desired)
    live = rig.target.observe(EVERYTHING)
    assert live.resources.keys() == prepared.resources.keys()
    assert (live.variants[variant.id].running, live.variants[variant.id].ready) == (1, 1)
    assert live.variants[variant.id].deployment == variant.deployment
    assert live.variants[variant.id].digest == variant.digest
    assert live.variants[variant.id].described["env.LEVEL"] == "info"
    assert live.routes[variant.deployment].weights == {variant.id: 100}
    assert not any(resource.changes for resource in rig.prepare(desired).resources.values())


def test_the_objects_of_a_change_are_created_changed_and_deleted_with_it(rig: Bench) -> None:
    secret = "not-to-be-seen-1"
    few, many = (rig.variant(env={"API_TOKEN": secret}, replicas=replicas) for replicas in (1, 2))

    def actions(desired: Desired | None) -> set[str]:
        prepared = rig.prepare(desired or rig.desired(few))
        found = [prepared.object_changes(r, deleted=desired is None) for r in (few.id, few.deployment)]
        assert secret not in str(found)
        return {one.action.value for changes in found for one in changes}

    assert actions(rig.desired(few)) == {"create"}
    rig.apply(rig.desired(few))
    assert actions(rig.desired(few)) == set()
    assert "change" in actions(rig.desired(many))
    assert actions(None) == {"delete"}


def test_applying_again_changes_nothing(rig: Bench) -> None:
    desired = rig.desired(rig.variant())
    rig.apply(desired)
    before = rig.target.observe(EVERYTHING).resources
    rig.apply(desired)
    assert rig.target.observe(EVERYTHING).resources == before


def test_a_deployment_answers_under_its_url_once_it_is_routed(rig: Bench) -> None:
    variant = rig.variant()
    desired = rig.desired(variant)
    prepared = rig.start(desired)
    rig.wait_ready(variant.id)
    assert variant.deployment not in rig.target.observe(EVERYTHING).routes
    rig.route(desired, prepared)
    assert str(rig.target.url(variant.deployment)).endswith("/fraud/churn")
    assert rig.ask(variant.deployment) == (200, {"predictions": ["v1"]})


def test_traffic_moves_to_what_is_routed(rig: Bench) -> None:
    old, new = rig.variant("v1"), rig.variant("v2")
    rig.apply(rig.desired(old))
    url = rig.target.url(old.deployment)
    rig.apply(rig.desired(new))
    assert {rig.ask(new.deployment)[1]["predictions"][0] for _ in range(5)} == {"v2"}
    assert rig.target.url(new.deployment) == url
    assert rig.live_route(new.deployment).weights == {new.id: 100}


def test_traffic_is_split_by_weight_and_a_variant_can_be_asked_for(served: Bench) -> None:
    most, few = served.variant("v1"), served.variant("v2")
    served.apply(served.desired(most, few, weights=(75, 25)))
    answers = [served.ask(most.deployment)[1]["predictions"][0] for _ in range(100)]
    assert abs(answers.count("v2") - 25) <= served.split_error
    assert served.ask(most.deployment, variant=few.name)[1] == {"predictions": ["v2"]}
    assert served.live_route(most.deployment).weights == {most.id: 75, few.id: 25}


def test_traffic_never_moves_to_what_is_not_ready(rig: Bench) -> None:
    rig.version("broken", RAISES)
    old, broken = rig.variant("v1"), rig.variant("broken")
    rig.apply(rig.desired(old))
    desired = rig.desired(broken)
    prepared = rig.start(desired)
    rig.wait_failed(broken)
    with pytest.raises(TargetError, match="Traffic can't move"):
        rig.route(desired, prepared)
    assert rig.ask(old.deployment)[1] == {"predictions": ["v1"]}
    assert rig.live_route(old.deployment).weights == {old.id: 100}


def test_what_fails_says_why_and_spoils_no_others_answer(served: Bench) -> None:
    served.version("broken", RAISES)
    good, broken = served.variant("v1"), served.variant("broken", name="risk")
    served.start(served.desired(good, broken))
    failed = served.wait_failed(broken)
    assert "the weights are missing" in failed.cause
    assert any("the weights are missing" in line for line in failed.log)
    served.wait_ready(good.id)
    both = served.rollout.readiness([good.id, broken.id])
    assert [both[v.id].state for v in (good, broken)] == [ReadinessState.READY, ReadinessState.FAILED]


def test_the_readiness_of_an_unknown_variant_is_failed(rig: Bench) -> None:
    assert rig.readiness(rig.variant()).state is ReadinessState.FAILED


def test_a_variant_starts_with_as_many_replicas_as_are_asked_for(rig: Bench) -> None:
    variant = rig.variant(replicas=Replicas(1, 3))
    desired = rig.desired(variant)
    prepared = rig.start(desired, replicas=2)
    rig.wait_ready(variant.id)
    rig.route(desired, prepared)
    assert (rig.live_variant(variant.id).running, rig.readiness(variant).ready) == (2, 2)
    assert rig.ask(variant.deployment)[0] == 200


def test_where_nothing_else_scales_it_a_variant_goes_back_to_its_minimum(processes: Bench) -> None:
    variant = processes.variant(replicas=Replicas(1, 3))
    desired = processes.desired(variant)
    prepared = processes.start(desired, replicas=2)
    processes.wait_ready(variant.id)
    processes.route(desired, prepared)
    prepared.ensure(variant.id)
    assert (processes.live_variant(variant.id).running, processes.readiness(variant).ready) == (1, 1)
    assert not processes.prepare(desired).resources[variant.id].changes
    assert processes.ask(variant.deployment)[0] == 200


def test_more_replicas_are_a_change_of_the_same_variant(rig: Bench) -> None:
    few = rig.variant(replicas=1)
    many = rig.variant(replicas=2)
    rig.apply(rig.desired(few))
    changed = rig.plan(rig.desired(many)).by_id[many.id]
    assert FieldChange("replicas", "1", "2") in changed.fields
    assert not changed.drift
    rig.apply(rig.desired(many))
    assert rig.live_variant(many.id).ready == 2
    assert not any(resource.changes for resource in rig.prepare(rig.desired(many)).resources.values())


def test_a_lost_replica_is_drift_and_applying_mends_it(rig: Bench) -> None:
    variant = rig.variant(replicas=2)
    desired = rig.desired(variant)
    rig.apply(desired)
    fingerprint = rig.live(variant.id).fingerprint
    rig.lose_a_replica(variant)
    drifted = rig.prepare(desired).resources[variant.id]
    assert drifted.drift
    assert drifted.changes == (FieldChange("running replicas", "1", "2"),)
    assert rig.live(variant.id).fingerprint != fingerprint
    rig.apply(desired)
    assert rig.live_variant(variant.id).ready == 2
    assert not any(resource.changes for resource in rig.prepare(desired).resources.values())
    assert {rig.ask(variant.deployment)[0] for _ in range(4)} == {200}


def test_removing_is_asked_until_nothing_is_left_and_may_be_asked_again(rig: Bench) -> None:
    variant = rig.variant()
    desired = rig.desired(variant)
    rig.apply(desired)
    rig.destroy(desired)
    assert rig.target.observe(EVERYTHING).resources == {}
    for resource in (*desired.deployments, *desired.variants, *desired.tenants):
        assert rig.rollout.remove(resource)


def test_what_changed_since_the_plan_is_not_removed(rig: Bench) -> None:
    variant = rig.variant(replicas=2)
    rig.apply(rig.desired(variant))
    fingerprint = rig.live(variant.id).fingerprint
    rig.lose_a_replica(variant)
    with pytest.raises(TargetError, match="Changed since it was planned"):
        rig.rollout.remove(variant.id, fingerprint)
    assert rig.live_variant(variant.id).running == 1
    current = rig.live(variant.id).fingerprint
    eventually(lambda: rig.rollout.remove(variant.id, current))


def test_a_tenant_that_is_not_empty_stays(rig: Bench) -> None:
    variant = rig.variant()
    desired = rig.desired(variant)
    rig.apply(desired)
    with pytest.raises(TargetError, match="Tenant is not empty"):
        rig.rollout.remove(next(iter(desired.tenants)))
    assert rig.ask(variant.deployment)[0] == 200


def test_what_is_desired_again_while_it_goes_comes_back(served: Bench) -> None:
    variant = served.variant()
    desired = served.desired(variant)
    served.apply(desired)
    assert not served.rollout.remove(variant.id)
    going = served.target.observe(EVERYTHING).resources.get(variant.id)
    assert going is None or going.terminating
    assert served.prepare(desired).resources[variant.id].changes
    served.apply(desired)
    assert not served.live(variant.id).terminating
    assert served.ask(variant.deployment)[0] == 200


def test_all_that_lives_is_found_without_any_record_of_it(rig: Bench) -> None:
    variant = rig.variant()
    desired = rig.desired(variant)
    rig.apply(desired)
    found = rig.target.observe(EVERYTHING)
    rig.target = rig.new_target()
    assert rig.target.observe(EVERYTHING) == found
    assert rig.ask(variant.deployment)[0] == 200
    rig.destroy(desired)
    assert rig.target.observe(EVERYTHING).resources == {}


def test_another_installations_things_are_neither_seen_nor_touched(rig: Bench) -> None:
    variant = rig.variant()
    desired = rig.desired(variant)
    rig.apply(desired)
    other = rig.new_target("other")
    assert other.observe(EVERYTHING).resources == {}
    refused = other.prepare(desired, other.observe(EVERYTHING))
    for resource in (*desired.deployments, *desired.variants, *desired.tenants):
        with pytest.raises(TargetError, match="Not ours"):
            refused.remove(resource)
    for tenant in desired.tenants:
        assert "another installation" in str(refused.resources[tenant].trouble)
        with pytest.raises(ValueError, match="another installation"):
            refused.ensure(tenant)
    assert rig.ask(variant.deployment)[0] == 200


def test_observing_can_be_narrowed_to_a_tenant_and_a_deployment(rig: Bench) -> None:
    ours, theirs = rig.variant(), rig.variant(tenant="risk", name="score")
    rig.apply(rig.desired(ours, theirs))
    narrowed = rig.target.observe(Scope.of("risk")).resources
    assert {resource.tenant for resource in narrowed} == {"risk"}
    narrowed = rig.target.observe(Scope.of("fraud/other")).resources
    assert {str(resource) for resource in narrowed} == {"tenant/fraud"}


def test_a_secret_that_is_not_there_fails_its_variant_alone_and_is_named(served: Bench) -> None:
    good = served.variant()
    lacking = served.variant(name="risk", env={"TOKEN": SecretRef("hub", "token")})
    why = served.start_without(served.desired(good, lacking), lacking)
    assert "hub" in why
    assert "not found" in why or "missing" in why
    served.wait_ready(good.id)


def test_a_secret_is_handed_to_the_model(served: Bench) -> None:
    served.version("reading", READS)
    reading = served.variant("reading", env={"TOKEN": served.secret("hub", "token", "open sesame")})
    served.apply(served.desired(reading))
    assert served.ask(reading.deployment)[1] == {"predictions": ["open sesame"]}


def test_logs_can_be_read(served: Bench) -> None:
    variant = served.variant()
    served.apply(served.desired(variant))
    lines = list(served.target.logs([variant.id], lines=5, follow=False))
    assert any("Ready" in line for line in lines)
    assert len(list(served.target.logs([variant.id], lines=1, follow=False))) == 1


def test_the_log_of_what_failed_outlives_it(processes: Bench) -> None:
    processes.version("broken", RAISES)
    broken = processes.variant("broken")
    desired = processes.desired(broken)
    processes.start(desired)
    processes.wait_failed(broken)
    processes.remove(broken.id)
    lines = list(processes.target.failed_logs(broken.deployment, lines=50))
    assert any("the weights are missing" in line for line in lines)
    with pytest.raises(TargetError, match="No log is there"):
        list(processes.target.logs([broken.id], lines=50, follow=False))
