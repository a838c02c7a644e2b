"""Desired, live, stored, prepared and the record in; the plan out. Pure: no I/O, clock or randomness.

Called by `reconcile.py`. Everything is one pass over dictionaries: linear in the number of resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model.described import FieldChange
from reconciler.model.graph_digest import deployment_digest, graph_digest, sha256_digest
from reconciler.model.resources import (
    DesiredDeployment,
    DesiredVariant,
    DesiredVersion,
    ResourceId,
)
from reconciler.plan.deletions import Deletions, variant_deletion
from reconciler.plan.guards import find_guards
from reconciler.plan.inputs import PlanOptions, World
from reconciler.plan.model import Action, Binding, Change, Plan
from reconciler.plan.wording import deployment_changes, not_stored, other_content, variant_changes
from reconciler.state.model import FAILED_PHASES, Phase
from reconciler.targets.protocol import Live, LiveRoute, Prepared


def make_plan(world: World, options: PlanOptions, *, target: str = "", revision: str = "") -> Plan:
    """What has to happen so that live equals desired."""
    desired, live, prepared, state = world.desired, world.live, world.prepared, world.state
    diff = _Diff(world, options)
    changes = diff.changes()
    guards = (
        ()
        if options.destroy  # asked for by name
        else find_guards(changes, live, desired, options.guards, allowed=options.allow_deletions)
    )
    withheld = {resource for guard in guards for resource in guard.withheld}
    kept = tuple(c for c in changes if c.id not in withheld and c.deployment not in withheld)
    lineage = state.lineage if state.serial else ""  # a state that was never written has no name to be known by yet
    binding = Binding(
        graph_digest(desired), lineage, state.serial, _fingerprints(kept, live), _prepared_digest(kept, prepared)
    )
    return Plan(kept, guards, tuple(diff.deletions.unclaimed), target, revision, options.scope, binding)


class _Diff:
    def __init__(self, world: World, options: PlanOptions) -> None:
        self.world = world
        self.desired = world.desired
        self.live = world.live
        self.state = world.state
        self.prepared = world.prepared.resources
        self.options = options
        self.deletions = Deletions(world, options)

    def changes(self) -> list[Change]:
        """In the order of tenants; inside one: the tenant, versions, deployments with variants, deletions."""
        by_tenant: dict[str, list[Change]] = {}
        for change in self._all():
            by_tenant.setdefault(change.id.tenant, []).append(change)
        return [change for tenant in sorted(by_tenant) for change in by_tenant[tenant]]

    def _all(self) -> Iterator[Change]:
        if not self.options.destroy:
            yield from (self._tenant(t) for t in self.desired.tenants if t in self.options.scope)
            wanted = self._versions_in_scope()
            yield from (self._version(v) for v in self.desired.versions.values() if v.id in wanted)
            for deployment in self.desired.deployments.values():
                if deployment.id in self.options.scope:
                    yield from self._deployment(deployment)
        yield from self.deletions.all()

    def _versions_in_scope(self) -> frozenset[ResourceId]:
        scope = self.options.scope
        whole = (v for v in self.desired.versions if scope.is_whole(v.tenant))
        chosen = (d for d in self.desired.deployments if d in scope)
        return frozenset((*whole, *(variant.version for d in chosen for variant in self.desired.variants_of[d])))

    def _tenant(self, tenant: ResourceId) -> Change:
        prepared = self.prepared[tenant]
        there = tenant in self.live.tenants
        if prepared.trouble is not None:
            return Change(tenant, Action.CHANGE if there else Action.CREATE, error=prepared.trouble)
        if not there:
            return Change(tenant, Action.CREATE, note=prepared.note)
        action = self._of_differences(tenant, prepared.changes)
        return Change(tenant, action, prepared.changes, prepared.note, drift=prepared.drift)

    def _version(self, version: DesiredVersion) -> Change:
        if trouble := self.world.stored.unlisted.get(version.id.tenant):
            return Change(version.id, Action.CREATE, error=trouble)
        digests = self.world.stored.digests.get(version.id, frozenset())
        if version.digest in digests:
            return Change(version.id, self._as_recorded(version.id))
        if digests:
            return Change(version.id, Action.CHANGE, error=other_content(version, self.world.stored))
        if version.manifest is None:
            return Change(version.id, Action.CREATE, error=not_stored(version))
        return Change(version.id, Action.CREATE, size=version.size)

    def _deployment(self, deployment: DesiredDeployment) -> Iterator[Change]:
        variants = tuple(self._variants(deployment))
        route = self.live.routes.get(deployment.id)
        prepared = self.prepared[deployment.id]
        error = prepared.trouble or next((v.error for v in variants if v.error), None)
        work = any(v.is_work for v in variants) or bool(prepared.changes or error) or route is None
        work = work or self._has_failed(deployment)  # a gateway that refused it is asked again
        replaced = any(v.action is Action.REPLACE for v in variants)
        yield Change(
            deployment.id,
            self._deployment_action(deployment, work, replaced),
            self._deployment_fields(deployment, route) if work else (),
            note=self._last_failure(deployment) if work else "",
            drift=work and (prepared.drift or any(v.drift for v in variants) or self._lost_route(deployment)),
            error=error,
        )
        yield from variants

    def _lost_route(self, deployment: DesiredDeployment) -> bool:
        """Whether what leads to a deployment is gone, though it was there when this content was recorded Ready."""
        record = self.state.resources.get(deployment.id)
        return (
            deployment.id not in self.live.routes
            and bool(self.world.live_variants.get(deployment.id))
            and record is not None
            and record.phase is Phase.READY
            and record.desired == deployment_digest(self.desired, deployment)
        )

    def _has_failed(self, deployment: DesiredDeployment) -> bool:
        """Whether the last round that tried this very content did not get there."""
        record = self.state.resources.get(deployment.id)
        if record is None or record.phase not in FAILED_PHASES:
            return False
        return record.desired == deployment_digest(self.desired, deployment)

    def _deployment_action(self, deployment: DesiredDeployment, work: bool, replaced: bool) -> Action:
        if not work:
            return self._as_recorded(deployment.id)
        if self._has_failed(deployment):
            return Action.RETRY
        if replaced:
            return Action.REPLACE
        exists = deployment.id in self.live.routes or self.world.live_variants.get(deployment.id)
        return Action.CHANGE if exists else Action.CREATE

    def _last_failure(self, deployment: DesiredDeployment) -> str:
        record = self.state.resources.get(deployment.id)
        return record.message if record and record.phase in FAILED_PHASES else ""

    def _variants(self, deployment: DesiredDeployment) -> Iterator[Change]:
        for variant in self.desired.variants_of[deployment.id]:
            yield self._variant(variant)
        for old in self.world.live_variants.get(deployment.id, ()):
            if old.id in deployment.weights:
                continue
            if self.deletions.may_replace(old):
                yield variant_deletion(old)

    def _variant(self, variant: DesiredVariant) -> Change:
        prepared = self.prepared[variant.id]
        note = f"version {variant.version_name}"
        if variant.id not in self.live.variants:
            return Change(variant.id, Action.CREATE, note=note, error=prepared.trouble, deployment=variant.deployment)
        changes, drift = self._variant_changes(variant)
        action = Action.CHANGE if changes else Action.UNCHANGED
        if prepared.replacement:
            action = Action.REPLACE
        return Change(
            variant.id,
            action,
            changes,
            note,
            drift=drift,
            error=prepared.trouble,
            deployment=variant.deployment,
            replacement=prepared.replacement,
        )

    def _deployment_fields(self, deployment: DesiredDeployment, route: LiveRoute | None) -> tuple[FieldChange, ...]:
        """In the words of the spec where it changed; what the target found where it did not, or where that is drift."""
        new, old = self.desired.variants_of[deployment.id], self.world.live_variants.get(deployment.id, [])
        lost = self._lost_route(deployment)
        found = (FieldChange("route", None, "present"),) if lost else deployment_changes(deployment, new, old, route)
        route_changes = self.prepared[deployment.id]
        parts = [*(self._variant_changes(v) for v in new), (route_changes.changes, route_changes.drift)]
        of_parts = [change for changes, drift in parts if drift or not found for change in changes]
        return tuple(dict.fromkeys((*found, *of_parts)))

    def _variant_changes(self, variant: DesiredVariant) -> tuple[tuple[FieldChange, ...], bool]:
        """What becomes of a variant that runs: what its spec changed, and what the target found, unless that only says
        the same in other words. True where the spec changed nothing and all of it is drift."""
        live, prepared = self.live.variants.get(variant.id), self.prepared[variant.id]
        by_spec = variant_changes(variant, live) if live else ()
        by_target = prepared.changes if prepared.drift or not by_spec else ()
        return (*by_spec, *by_target), prepared.drift and not by_spec

    def _of_differences(self, resource: ResourceId, changes: Iterable[FieldChange]) -> Action:
        if tuple(changes):
            return Action.CHANGE
        return self._as_recorded(resource)

    def _as_recorded(self, resource: ResourceId) -> Action:
        """Of what is as desired: whether the record says so too, or a round that died never came to it."""
        record = self.state.resources.get(resource)
        return Action.UNCHANGED if record and record.phase is Phase.READY else Action.ADOPT


def _fingerprints(changes: Iterable[Change], live: Live) -> str:
    return _digest(
        f"{change.id} {live.resources[change.id].fingerprint}"
        for change in changes
        if change.is_work and change.id in live.resources
    )


def _prepared_digest(changes: Iterable[Change], prepared: Prepared) -> str:
    return _digest(
        f"{change.id} {prepared.resources[change.id].digest}"
        for change in changes
        if change.is_work and change.id in prepared.resources
    )


def _digest(lines: Iterable[str]) -> str:
    return sha256_digest("\n".join(sorted(lines)).encode())
