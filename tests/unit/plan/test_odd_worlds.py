"""Plans of worlds that no clean round leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.described import FieldChange
from reconciler.model.resources import (
    Desired,
    DesiredDeployment,
    DesiredVariant,
    Kind,
    Replicas,
    ResourceId,
    Scope,
    deployment_id,
    tenant_id,
    version_id,
)
from reconciler.plan.model import Action
from reconciler.state.model import Verdict
from reconciler.targets.protocol import Live, LiveVariant, PreparedResource, TargetError
from specs.errors import KubeServeError, Trouble
from tests.support.engine.graphs import graph, variant, version
from tests.support.engine.memory_target import MemoryRollout, MemoryTarget
from tests.support.engine.rounds import Sandbox

CHURN = deployment_id("fraud", "churn")
FRAUD = tenant_id("fraud")
V1, V2 = (variant("fraud", "churn", version("fraud", "churn", name)).id for name in ("v1", "v2"))


def lose(world: Sandbox, *resources: ResourceId) -> None:
    for resource in resources:
        del world.target.resources[resource]


def lose_state(world: Sandbox) -> None:
    (world.folder / "state.json").unlink()


def test_a_route_whose_variants_are_gone_gets_them_again(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    lose(world, V1)
    assert world.plan(desired).by_id[V1].action is Action.CREATE
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert world.plan(desired).is_empty


def test_a_route_whose_variants_are_gone_goes_when_nobody_asks_for_it(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/keep": "v1"}))
    lose(world, V1)
    world.apply(graph({"fraud/keep": "v1"}))
    assert CHURN not in world.target.resources


def test_variants_without_a_route_get_one_when_they_are_desired_and_go_when_not(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1", "fraud/keep": "v1"})
    world.apply(desired)
    lose(world, CHURN)
    world.apply(desired)
    assert world.target.routed(CHURN).weights == {V1: 100}
    lose(world, CHURN)
    world.apply(graph({"fraud/keep": "v1"}))
    assert V1 not in world.target.resources


def test_a_variant_that_is_on_its_way_out_is_asked_again_until_it_is_gone(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v2"})
    world.apply(graph({"fraud/churn": "v1"}))
    leaving = replace(world.target.resources[V1], terminating=True)
    world.apply(desired)
    world.target.resources[V1] = leaving
    lose_state(world)  # who began it knows that it goes
    assert {c.id: c.action for c in world.plan(desired).work(Kind.VARIANT)} == {V1: Action.DELETE}
    world.apply(desired)
    assert V1 not in world.target.resources
    assert world.plan(desired).is_empty


def test_a_desired_variant_that_is_on_its_way_out_is_drift(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    world.target.resources[V1] = replace(world.target.resources[V1], terminating=True)
    assert world.plan(desired).by_id[CHURN].drift
    world.apply(desired)
    assert world.plan(desired).is_empty


def test_what_a_lost_state_does_not_know_beside_a_desired_deployment_is_shown_and_left(world: Sandbox) -> None:
    """A variant that takes no traffic: somebody's, or what is left of a rollout."""
    old, new = graph({"fraud/churn": "v1"}), graph({"fraud/churn": "v2"})
    world.apply(old)
    world.target.prepare(new, world.target.observe(Scope())).ensure(V2)
    lose_state(world)
    plan = world.plan(old)
    assert plan.by_id[CHURN].action is Action.ADOPT
    assert [item.id for item in plan.unclaimed] == [V2]
    world.apply(old)
    assert V2 in world.target.resources
    assert world.plan(old).is_empty
    world.apply(old, prune_unclaimed=True)
    assert V2 not in world.target.resources


def test_what_serves_is_replaced_also_when_the_state_was_lost_before(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1"}))
    lose_state(world)
    desired = graph({"fraud/churn": "v2"})
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert V1 not in world.target.resources
    assert not world.plan(desired).unclaimed


def test_a_weight_of_zero_is_no_change_of_traffic_where_it_was_zero(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": {"v1": 100, "v2": 0}}))
    plan = world.plan(graph({"fraud/churn": {"v1": 100, "v2": 0}}, replicas=2))
    assert [change.field for change in plan.by_id[CHURN].fields] == ["replicas"]


def test_a_tenant_that_is_removed_and_desired_at_once_stays(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"}, removed=frozenset({"fraud"}))
    world.apply(desired)
    assert world.plan(desired).is_empty
    assert FRAUD in world.target.resources


def test_a_removed_tenant_stays_while_something_in_it_is_unclaimed(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "b/x": "v1"}))
    state = world.state
    risk = deployment_id("fraud", "risk")
    known = {r: record for r, record in state.resources.items() if "risk" not in r.name}
    world.file.save(replace(state, resources=known))
    removed = graph({"b/x": "v1"}, removed=frozenset({"fraud"}))
    plan = world.plan(removed)
    assert [item.id for item in plan.unclaimed] == [risk]
    assert {c.id for c in plan.deletions} == {CHURN}
    assert world.apply(removed).verdict is Verdict.SUCCEEDED
    assert {FRAUD, risk} <= world.target.resources.keys()
    world.apply(removed, prune_unclaimed=True)
    assert not [r for r in world.target.resources if r.tenant == "fraud"]


def test_an_error_of_what_runs_unchanged_is_work_so_that_plan_and_apply_agree(tmp_path: Path) -> None:
    class Conflict(MemoryTarget):
        conflict = False

        def prepared_variant(self, variant: DesiredVariant, live: LiveVariant | None) -> PreparedResource:
            prepared = super().prepared_variant(variant, live)
            return replace(prepared, trouble=Trouble("Conflict")) if self.conflict else prepared

    target = Conflict()
    world = Sandbox(tmp_path, target)
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    target.conflict = True
    assert world.plan(desired).errors
    assert world.apply(desired).verdict is Verdict.DEGRADED
    target.conflict = False
    assert world.plan(desired).by_id[CHURN].action is Action.RETRY
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert world.plan(desired).is_empty


def test_a_store_that_fails_for_one_tenant_is_that_tenants_trouble(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "search/rank": "v1"}))
    world.store.unlisted = {"fraud"}
    desired = graph({"fraud/churn": "v2", "search/rank": "v2"})
    assert {change.id for change in world.plan(desired).errors} == {version_id("fraud", "churn", "v2")}
    assert world.apply(desired).verdict is Verdict.DEGRADED
    assert "The prefix of fraud is denied" in world.state.resources[CHURN].message
    assert world.target.routed(CHURN).weights == {V1: 100}
    assert world.phase(deployment_id("search", "rank")) == "Ready"


def test_a_store_that_lists_nothing_for_anybody_stops_the_round(world: Sandbox) -> None:
    world.store.unlisted = {"fraud", "search"}
    with pytest.raises(KubeServeError, match="Store can't be read"):
        world.plan(graph({"fraud/churn": "v1", "search/rank": "v1"}))


def test_a_version_that_no_deployment_uses_and_that_has_other_content_stops_no_deployment(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1", "fraud/risk": "v1"})
    world.apply(desired)
    unused = version("fraud", "churn", "v9")
    world.apply(replace(desired, versions={**desired.versions, unused.id: unused}))
    changed = replace(unused, digest="sha256:" + "0" * 64)
    new = graph({"fraud/churn": "v2", "fraud/risk": "v1"})
    wanted = replace(new, versions={**new.versions, unused.id: changed})
    assert [change.id for change in world.plan(wanted).errors] == [unused.id]
    assert world.apply(wanted).verdict is Verdict.FAILED
    assert world.phase(CHURN) == "Ready"
    assert world.phase(unused.id) == "Failed"


def test_a_version_named_by_a_digest_that_is_not_stored_stops_only_who_needs_it(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1", "fraud/risk": "v1"})
    pushed = version_id("fraud", "churn", "v1")
    versions = {**desired.versions, pushed: replace(desired.versions[pushed], manifest=None)}
    world.apply(replace(desired, versions=versions))
    assert "kubeserve push" in world.state.resources[CHURN].message
    assert world.phase(deployment_id("fraud", "risk")) == "Ready"


def test_a_scope_keeps_deletions_guards_unclaimed_and_versions_inside(world: Sandbox) -> None:
    world.apply(graph({f"fraud/d{n}": "v1" for n in range(10)} | {"search/rank": "v1", "search/find": "v1"}))
    nothing_left = graph({"fraud/d0": "v1"})
    narrow = world.plan(nothing_left, scope=Scope.of("search/rank"))
    assert {change.id for change in narrow.work()} == {
        deployment_id("search", "rank"),
        *(r for r in world.target.resources if r.name.startswith("rank-")),
    }
    assert not narrow.guards
    both = world.plan(nothing_left, scope=Scope.of("search/rank", "search/find"))
    deleted = {change.id.name for change in both.changes if change.id.kind is Kind.DEPLOYMENT}
    assert deleted | {r.name for guard in both.guards for r in guard.withheld} == {"rank", "find"}
    tenant = world.plan(nothing_left, scope=Scope.of("fraud"))
    assert tenant.is_empty
    assert {r.tenant for guard in tenant.guards for r in guard.withheld} == {"fraud"}
    lose_state(world)
    shown = world.plan(nothing_left, scope=Scope.of("search"))
    assert {item.id.tenant for item in shown.unclaimed} == {"search"}
    one = world.plan(graph({"fraud/d0": "v2", "fraud/d1": "v2"}), scope=Scope.of("fraud/d1"))
    assert [c.id.name for c in one.changes if c.id.kind is Kind.VERSION] == ["d1/v2"]


def test_destroy_of_a_scope_takes_no_more(world: Sandbox) -> None:
    world.apply(graph({"fraud/churn": "v1", "fraud/risk": "v1", "search/rank": "v1"}))
    world.apply(graph({}), destroy=True, scope=Scope.of("fraud/churn"))
    assert {CHURN, V1}.isdisjoint(world.target.resources)
    assert {FRAUD, deployment_id("fraud", "risk")} <= world.target.resources.keys()
    world.apply(graph({}), destroy=True, scope=Scope.of("fraud"))
    assert {r.tenant for r in world.target.resources} == {"search"}
    assert {r.tenant for r in world.state.resources} == {"search"}


class Refusing(MemoryTarget):
    """Refuses the tenants that it is told."""

    refused: frozenset[str] = frozenset()

    def prepare(self, desired: Desired, live: Live) -> MemoryRollout:
        trouble = Trouble("Over its quota")
        rollout = super().prepare(desired, live)
        refused = {
            key: replace(one, trouble=trouble) if key.kind is Kind.TENANT and key.tenant in self.refused else one
            for key, one in rollout.resources.items()
        }
        return replace(rollout, resources=refused)


def test_a_tenant_that_is_there_and_can_not_be_changed_is_not_counted_as_one_to_create(tmp_path: Path) -> None:
    target = Refusing()
    world = Sandbox(tmp_path, target)
    world.apply(graph({"fraud/churn": "v1"}))
    target.refused = frozenset({"fraud", "new"})
    plan = world.plan(graph({"fraud/churn": "v1", "new/x": "v1"}))
    assert {c.id.tenant: c.action for c in plan.work(Kind.TENANT)} == {"fraud": Action.CHANGE, "new": Action.CREATE}


def test_a_version_that_is_stored_with_other_content_is_not_counted_as_one_to_create(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    (stored,) = desired.versions.values()
    changed = replace(desired, versions={stored.id: replace(stored, digest="sha256:" + "0" * 64)})
    (broken,) = world.plan(changed).work(Kind.VERSION)
    assert broken.action is Action.CHANGE
    assert broken.error is not None
    assert f"digest {stored.digest[:19]}…, and the spec now gives sha256:000000000000…." in broken.error.detail


def test_a_route_that_somebody_deleted_is_drift_and_one_that_was_never_made_is_not(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    lose(world, CHURN)
    lost = world.plan(desired).by_id[CHURN]
    assert (lost.action, lost.drift, lost.fields) == (Action.CHANGE, True, (FieldChange("route", None, "present"),))
    assert not world.plan(graph({"fraud/churn": "v2"})).by_id[CHURN].drift
    lose_state(world)
    assert not world.plan(desired).by_id[CHURN].drift
    world.apply(desired)
    assert world.plan(desired).is_empty


def test_what_is_replaced_makes_its_deployment_one_to_replace(tmp_path: Path) -> None:
    class Replacing(MemoryTarget):
        replacing = False

        def prepared_variant(self, variant: DesiredVariant, live: LiveVariant | None) -> PreparedResource:
            prepared = super().prepared_variant(variant, live)
            changes = (FieldChange("selector", "a", "b"),)
            return replace(prepared, changes=changes, replacement="It is made again") if self.replacing else prepared

    target = Replacing()
    world = Sandbox(tmp_path, target)
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    target.replacing = True
    plan = world.plan(desired)
    assert {str(c.id.kind): c.action for c in plan.work()} == {
        "deployment": Action.REPLACE,
        "variant": Action.REPLACE,
    }
    assert plan.by_id[V1].replacement == "It is made again"
    assert world.apply(desired).verdict is Verdict.SUCCEEDED


def test_a_route_that_is_refused_after_it_was_written_is_tried_again_until_it_is_taken(
    world: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    desired = graph({"fraud/churn": "v1"})
    write = world.target.route

    def refused(deployment: DesiredDeployment) -> None:
        write(deployment)
        raise TargetError("The gateway does not take the route")

    monkeypatch.setattr(world.target, "route", refused)
    for _ in range(2):
        assert world.apply(desired).verdict is not Verdict.SUCCEEDED
        assert world.plan(desired).by_id[CHURN].action is Action.RETRY
    monkeypatch.setattr(world.target, "route", write)
    assert world.apply(desired).verdict is Verdict.SUCCEEDED
    assert world.plan(desired).is_empty


def test_what_a_spec_changed_is_said_once_whatever_the_target_found(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    more = replace(desired, variants={V1: replace(desired.variants[V1], replicas=Replicas(1, 4))})
    changed = world.plan(more).by_id[V1]
    assert (changed.fields, changed.drift) == ((FieldChange("replicas", "1", "1 to 4"),), False)


def test_drift_beside_a_change_of_the_spec_is_shown_and_is_not_all_of_it(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    world.target.crash(V1)
    drifted = world.plan(desired).by_id[V1]
    assert (drifted.fields, drifted.drift) == ((FieldChange("running replicas", "0", "1"),), True)
    more = replace(desired, variants={V1: replace(desired.variants[V1], replicas=Replicas(1, 4))})
    both = world.plan(more).by_id[V1]
    assert [change.field for change in both.fields] == ["replicas", "running replicas"]
    assert not both.drift


def test_other_words_of_the_target_for_the_same_change_are_left_out(tmp_path: Path) -> None:
    class Wordy(MemoryTarget):
        def prepared_variant(self, variant: DesiredVariant, live: LiveVariant | None) -> PreparedResource:
            return PreparedResource(variant.id, (FieldChange("spec.replicas", "1", "4"),))

    world = Sandbox(tmp_path, Wordy())
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    assert world.plan(desired).by_id[V1].fields == (FieldChange("spec.replicas", "1", "4"),)
    more = replace(desired, variants={V1: replace(desired.variants[V1], replicas=Replicas(1, 4))})
    assert world.plan(more).by_id[V1].fields == (FieldChange("replicas", "1", "1 to 4"),)


def test_where_no_record_says_what_was_applied_the_target_alone_speaks(world: Sandbox) -> None:
    desired = graph({"fraud/churn": "v1"})
    world.apply(desired)
    world.target.resources[V1] = replace(world.target.variant(V1), described={}, ready=0)
    assert world.plan(desired).by_id[V1].fields == (FieldChange("running replicas", "0", "1"),)
