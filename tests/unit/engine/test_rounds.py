"""The engine's promises, over a target without processes: plan, apply, and plan again."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model.resources import Desired, DesiredVariant, Kind, Scope, deployment_id, tenant_id
from reconciler.plan.model import Action
from reconciler.state.file import StateFile
from reconciler.state.model import State, Verdict
from reconciler.state.recorder import WRITES_PER_ROUND
from reconciler.targets.protocol import Readiness, ReadinessState
from specs.errors import KubeServeError
from tests.support.engine.graphs import Traffic, graph
from tests.support.engine.memory_target import MemoryTarget
from tests.support.engine.rounds import Sandbox

CHURN = deployment_id("fraud", "churn")


def failing(version: str, cause: str = "model raised ValueError") -> MemoryTarget:
    def behaviour(variant: DesiredVariant) -> Readiness:
        if variant.version_name == version:
            return Readiness(ReadinessState.FAILED, cause, ("loading", "Traceback", "ValueError: no"))
        return Readiness(ReadinessState.READY, ready=1)

    return MemoryTarget(behaviour)


def actions(world: Sandbox, desired: Desired) -> dict[str, Action]:
    return {str(change.id): change.action for change in world.plan(desired).work()}


def test_the_first_round_creates_all_and_the_next_plan_is_empty(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1", "search/rank": {"v1": 90, "v2": 10}})
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert world.plan(desired).is_empty
    assert world.phase(CHURN) == "Ready"
    assert world.state.resources[CHURN].url == "http://test/fraud/churn"


def test_a_new_version_is_ready_before_traffic_moves_and_the_old_one_goes_last(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    world.target.calls.clear()
    desired = graph({"fraud/churn": "v2"})
    (plan_change,) = world.plan(desired).work(Kind.DEPLOYMENT)
    assert [(f.field, f.old, f.new) for f in plan_change.fields] == [("version", "v1", "v2")]
    world.apply(desired)
    assert [verb for verb, _ in world.target.calls] == ["ensure", "route", "remove"]
    assert world.plan(desired).is_empty


def test_a_failed_rollout_keeps_the_old_version_serving_and_is_planned_as_a_retry(world: Sandbox) -> None:
    old, new = graph({"fraud/churn": "v1"}), graph({"fraud/churn": "v2"})
    world.apply(old)
    serving = dict(world.target.routed(CHURN).weights)
    world.target.behaviour = failing("v2").behaviour
    assert world.apply(new).verdict is Verdict.DEGRADED
    record = world.state.resources[CHURN]
    assert (record.phase, record.reason) == ("Degraded", "NotReady")
    assert "model raised ValueError" in record.message
    assert record.log[-1] == "ValueError: no"
    assert dict(world.target.routed(CHURN).weights) == serving
    assert not set(new.variants) & set(world.target.resources), "what failed is removed"
    assert actions(world, new)[str(CHURN)] is Action.RETRY
    assert world.apply(new).verdict is Verdict.DEGRADED
    assert world.state.resources[CHURN].attempts == 2


def test_going_back_after_a_failed_rollout_clears_the_record_without_a_restart(world: Sandbox) -> None:
    old = graph({"fraud/churn": "v1"})
    world.apply(old)
    world.target.behaviour = failing("v2").behaviour
    world.apply(graph({"fraud/churn": "v2"}))
    world.target.calls.clear()
    assert world.apply(old).verdict is Verdict.SUCCEEDED
    assert world.target.calls == []
    assert world.phase(CHURN) == "Ready"
    assert world.plan(old).is_empty


def test_with_nothing_serving_a_failure_is_failed(world: Sandbox) -> None:
    world.target.behaviour = failing("v1").behaviour
    assert world.apply(graph({"fraud/churn": "v1"})).verdict is Verdict.FAILED
    assert world.phase(CHURN) == "Failed"


def test_a_rollout_that_is_not_ready_in_time_says_so(world: Sandbox) -> None:
    world.target.behaviour = lambda variant: Readiness(ReadinessState.WAITING, "loading the model")
    desired = graph({"fraud/churn": "v1"})
    for variant in desired.variants.values():
        object.__setattr__(variant, "ready_seconds", 0.2)
    world.apply(desired)
    record = world.state.resources[CHURN]
    assert record.reason == "Timeout"
    assert "not ready within 0.2 s: loading the model" in record.message


def test_one_tenants_failure_is_its_own(world: Sandbox) -> None:
    def refuse(verb: str, resource: str) -> None:
        if resource == "tenant/fraud":
            raise KubeServeError("Quota is refused")

    world.target.before = refuse
    outcome = world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    assert outcome.verdict is Verdict.FAILED
    assert world.phase(CHURN) == "Failed"
    assert "Quota is refused" in world.state.resources[CHURN].message
    assert world.phase(deployment_id("search", "rank")) == "Ready"


def test_an_upload_that_fails_fails_only_what_needs_it(world: Sandbox) -> None:
    def refuse(ref: object) -> None:
        if "churn" in str(ref):
            raise KubeServeError("Disk is full")

    world.store.before = refuse
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1"}))
    assert "Disk is full" in world.state.resources[CHURN].message
    assert world.phase(deployment_id("fraud", "risk")) == "Ready"


def test_a_call_that_says_a_retry_helps_is_tried_again(world: Sandbox) -> None:
    failures = iter([KubeServeError("busy", retryable=True)])

    def once(verb: str, resource: str) -> None:
        if verb == "route" and (error := next(failures, None)):
            raise error

    world.target.before = once
    assert world.apply(graph({"fraud/churn": "v1"})).verdict is Verdict.SUCCEEDED


def test_a_replica_that_died_is_drift_and_is_mended(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    (variant,) = desired.variants
    world.target.crash(variant)
    (change,) = world.plan(desired).work(Kind.DEPLOYMENT)
    assert change.drift
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert world.plan(desired).is_empty


def test_losing_the_state_file_takes_over_what_is_desired_and_only_shows_the_rest(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1"}))
    (world.folder / "state.json").unlink()
    world.target.calls.clear()
    desired = graph({"fraud/churn": "v1"})
    plan = world.plan(desired)
    assert plan.by_id[CHURN].action is Action.ADOPT
    assert [str(item.id) for item in plan.unclaimed] == ["deployment/fraud/risk"]
    world.apply(desired)
    assert world.target.calls == [], "nothing that runs was touched"
    assert world.phase(CHURN) == "Ready"
    world.apply(desired, prune_unclaimed=True)
    assert deployment_id("fraud", "risk") not in world.target.resources


def test_what_is_no_longer_asked_for_is_deleted_route_first(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "fraud/keep": "v1"}))
    world.target.calls.clear()
    desired = graph({"fraud/risk": "v1", "fraud/keep": "v1"})
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert [resource.split("/")[0] for _, resource in world.target.calls] == ["deployment", "variant"]
    assert CHURN not in world.state.resources
    assert world.plan(desired).is_empty


def test_a_tenant_whose_spec_failed_to_load_loses_nothing(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    plan = world.plan(graph({"search/rank": "v1"}, protected=frozenset({"fraud"})))
    assert plan.is_empty
    assert [guard.code for guard in plan.guards] == ["protected"]
    unreadable = world.plan(graph({"search/rank": "v1"}, protected=None))
    assert unreadable.is_empty


def test_no_specs_at_all_delete_nothing(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    plan = world.plan(graph({}), allow_deletions=True)
    assert plan.is_empty
    assert [guard.code for guard in plan.guards] == ["empty"]


def test_deleting_all_of_a_tenant_wants_to_be_allowed(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "search/rank": "v1"}))
    fewer = graph({"search/rank": "v1"})
    held = world.plan(fewer)
    assert [guard.code for guard in held.guards] == ["whole-tenant"]
    assert held.is_empty
    assert world.apply(fewer).verdict is Verdict.FAILED
    assert CHURN in world.target.resources
    assert world.apply(fewer, allow_deletions=True).verdict is Verdict.SUCCEEDED
    assert CHURN not in world.target.resources


def test_more_than_the_budget_wants_to_be_allowed_and_replacing_does_not_count(world: Sandbox) -> None:
    many = {f"fraud/d{n}": "v1" for n in range(10)}
    world.apply(graph(many))
    replaced = graph(dict.fromkeys(many, "v2"))
    assert not world.plan(replaced).guards
    fewer = graph({f"fraud/d{n}": "v1" for n in range(4)})
    assert [guard.code for guard in world.plan(fewer).guards] == ["budget"]
    within = graph({f"fraud/d{n}": "v1" for n in range(5)})
    assert not world.plan(within).guards


def test_a_removed_tenant_goes_after_its_deployments(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    world.target.calls.clear()
    world.apply(graph({"search/rank": "v1"}, removed=frozenset({"fraud"})))
    assert [resource.split("/")[0] for _, resource in world.target.calls] == ["deployment", "variant", "tenant"]
    assert tenant_id("fraud") not in world.state.resources


def test_a_scope_changes_and_deletes_nothing_outside_of_it(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "search/rank": "v1"}))
    desired = graph({"fraud/churn": "v2"})
    plan = world.plan(desired, scope=Scope.of("fraud/churn"))
    assert {change.id.tenant for change in plan.changes} == {"fraud"}
    assert [str(c.id) for c in plan.work(Kind.DEPLOYMENT)] == ["deployment/fraud/churn"]
    assert not plan.guards


def test_destroy_removes_all_of_it_and_leaves_an_empty_record(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1", "fraud/risk": "v1"})
    world.apply(desired)
    assert world.apply(graph({}), destroy=True).verdict is Verdict.SUCCEEDED
    assert world.target.resources == {}
    assert world.state.resources == {}


def test_every_id_is_in_the_state_file_before_the_thing_is_made(world: Sandbox) -> None:
    missing: list[str] = []

    def known(verb: str, resource: str) -> None:
        if verb == "ensure" and resource not in {str(r) for r in world.state.resources}:
            missing.append(resource)

    world.target.before = known
    world.apply(graph({"fraud/churn": "v1", "search/rank": {"v1": 50, "v2": 50}}))
    assert missing == []


def test_a_version_with_other_content_under_the_same_name_is_an_error_of_the_plan(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    (version,) = desired.versions.values()
    world.apply(desired)
    object.__setattr__(version, "digest", "sha256:" + "0" * 64)
    (change,) = world.plan(desired).errors
    assert change.error is not None
    assert "new version name" in change.error.detail
    assert "carriage returns" not in change.error.detail


class CountingFile(StateFile):
    writes = 0

    def save(self, state: State) -> None:
        super().save(state)
        self.writes += 1


@pytest.mark.parametrize("deployments", [50, 200, 800])
def test_the_bytes_written_to_the_state_file_grow_linearly_with_the_plan(world: Sandbox, deployments: int) -> None:
    """Every write is of the whole file, so their number must not grow with the plan."""
    file = CountingFile(world.folder / "state.json", "default", "memory")
    world.apply(graph({f"fraud/d{n}": "v1" for n in range(deployments)}), file=file)
    final = (world.folder / "state.json").stat().st_size
    bound = WRITES_PER_ROUND + 10  # the claims, the end, and those that a slow machine's clock brings
    assert 2 <= file.writes <= bound
    assert file.bytes_written <= bound * final
    file.writes = 0
    world.apply(graph({}), file=file, destroy=True)
    assert file.writes <= 2 * bound, "what goes is noted twice: that it was asked to, and that it is gone"


WORLDS = st.dictionaries(
    st.sampled_from(["a/one", "a/two", "b/one", "b/two", "c/one"]),
    st.one_of(
        st.sampled_from(["v1", "v2", "v3"]),
        st.sampled_from([{"v1": 90, "v2": 10}, {"v2": 100, "v3": 0}, {"v1": 1, "v2": 9, "v3": 90}]),
    ),
    min_size=1,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=WORLDS, b=WORLDS)
def test_from_any_world_to_any_other_and_then_there_is_nothing_to_do(
    a: dict[str, Traffic], b: dict[str, Traffic], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = Sandbox(tmp_path_factory.mktemp("world"))
    before, after = graph(a), graph(b)
    assert world.apply(before).verdict is Verdict.SUCCEEDED
    assert world.plan(before).is_empty
    assert world.apply(after, allow_deletions=True).verdict is Verdict.SUCCEEDED
    assert world.plan(after).is_empty
    live = {r for r in world.target.resources if r.kind is Kind.VARIANT}
    assert live == set(after.variants)
    assert {d: dict(world.target.routed(d).weights) for d in after.deployments} == {
        d.id: dict(d.weights) for d in after.deployments.values()
    }


def test_a_variant_that_a_dead_round_left_unproven_is_proven_before_it_gets_traffic(world: Sandbox) -> None:
    """The round before was killed while it waited: the variant is there, and no route knows it."""
    old, new = graph({"fraud/churn": "v1"}), graph({"fraud/churn": "v2"})
    world.apply(old)
    (unproven,) = new.variants
    world.target.behaviour = failing("v2").behaviour
    world.target.prepare(new, world.target.observe(Scope())).ensure(unproven)
    assert world.apply(new).verdict is Verdict.DEGRADED
    assert unproven not in world.target.resources
    assert set(world.target.routed(CHURN).weights) == set(old.variants)


def test_what_could_not_be_started_whole_is_removed(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    new = graph({"fraud/churn": "v2"})
    (variant,) = new.variants

    def refuse(verb: str, resource: str) -> None:
        if (verb, resource) == ("ensure", str(variant)):
            raise KubeServeError("No space left")

    world.target.before = refuse
    assert world.apply(new).verdict is Verdict.DEGRADED
    assert "No space left" in world.state.resources[CHURN].message
    assert ("remove", str(variant)) in world.target.calls
    assert variant not in world.state.resources
