"""Reads what is live from the run directory and the processes that it names. Changes nothing.

Called once per round before the plan, and by the commands that show status. Only resources with this installation's
mark are reported. What differs from the mark (processes without a record, ready replicas without traffic) is kept in
the snapshot, from which `prepare.py` derives drift.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import orjson

from reconciler.model.resources import JSON, Kind, Replicas, ResourceId, Scope, variant_id
from reconciler.targets.local.gateway.routes import Route
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.identity import ProcessLabels
from reconciler.targets.local.marks import TenantMark, VariantMark
from reconciler.targets.local.probe import Address, Answer, probe
from reconciler.targets.local.processes import Bearer
from reconciler.targets.local.readiness import Observed, read_variant
from reconciler.targets.local.replicas import replicas_of
from reconciler.targets.local.routing import Routing
from reconciler.targets.local.rundir import RunDir, VariantFolder
from reconciler.targets.local.strays import strays
from reconciler.targets.protocol import Live, LiveResource, LiveRoute, LiveTenant, LiveVariant, TargetError

PROBE_SECONDS = 1.0

UNROUTED_FIELD = "ready replicas without traffic"
OVERDUE_FIELD = "replicas that don't end"
STRAY_FIELD = "processes without a record"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What `prepare.py` needs in addition to what every target reports."""

    unexpected: Mapping[ResourceId, Mapping[str, str]] = field(default_factory=dict)
    """Of variants and routes: what exists and should not, by a name for people."""
    gateway: Address | None = None  # where it answers


Stray = tuple[ProcessLabels, Bearer]


@dataclass(frozen=True, slots=True)
class Variant:
    folder: VariantFolder
    observed: Observed


@dataclass(frozen=True, slots=True)
class Observer:
    run_dir: RunDir
    installation: str
    routing: Routing
    gateway: GatewayProcess

    def observe(self, scope: Scope) -> Live:
        tenants = {mark.tenant: mark for mark in self.run_dir.tenant_marks(scope) if self._is_ours(mark)}
        variants = {
            mark.id: Variant(folder, Observed(mark, replicas_of(folder)))
            for folder, mark in self.run_dir.variant_marks(scope)
            if self._is_ours(mark)
        }
        answers = probe([a for v in variants.values() for a in v.observed.addresses], PROBE_SECONDS)
        unknown = self._strays(scope)
        address = self.gateway.live_address
        routes = {
            identity: route
            for identity, route in self.routing.routes().items()
            if identity in scope and route.tenant in tenants
        }
        live: list[LiveResource] = [LiveTenant(mark.id, tenant_fingerprint(mark)) for mark in tenants.values()]
        live += [_variant(variant, answers) for variant in variants.values()]
        live += [_unmarked(found) for identity, found in unknown.items() if identity not in variants]
        live += [_route(identity, route, reachable=address is not None) for identity, route in routes.items()]
        unexpected = {
            identity: _odd_processes(variants.get(identity), unknown.get(identity, ()))
            for identity in {*variants, *unknown}
        }
        unexpected |= {identity: _unrouted(route, variants, answers) for identity, route in routes.items()}
        return Live.of(live, Snapshot(unexpected, address))

    def check(self, resource: ResourceId, fingerprint: str | None) -> None:
        """TargetError unless a resource is ours and still what the plan saw. Does not compare one that is being
        removed already, because our own removal changed it."""
        mark = self._mark(resource)
        if mark is not None and not self._is_ours(mark):
            raise TargetError("Not ours", f"{resource} belongs to installation {mark.installation!r}.")
        found = self._fingerprint(resource)
        if fingerprint and found and found != fingerprint:
            raise TargetError("Changed since it was planned", f"{resource} is no longer what the plan saw: plan again.")

    def _mark(self, resource: ResourceId) -> TenantMark | VariantMark | None:
        if resource.kind is Kind.VARIANT:
            return self.run_dir.variant(resource).mark()
        return self.run_dir.tenant(resource.tenant)

    def _fingerprint(self, resource: ResourceId) -> str | None:
        """None if it does not exist or is being removed."""
        if resource.kind is Kind.DEPLOYMENT:
            route = self.routing.routes().get(resource)
            return route_fingerprint(route) if route else None
        if resource.kind is Kind.TENANT:
            mark = self.run_dir.tenant(resource.tenant)
            return tenant_fingerprint(mark) if mark else None
        observed = read_variant(self.run_dir, resource)
        going = self.run_dir.variant(resource).removal() is not None
        return variant_fingerprint(observed) if observed and not going else None

    def _is_ours(self, mark: TenantMark | VariantMark) -> bool:
        return mark.installation == self.installation

    def _strays(self, scope: Scope) -> dict[ResourceId, list[Stray]]:
        """Replicas of ours without a record, by variant: one process of each."""
        found: dict[ResourceId, dict[str, Stray]] = {}
        for labels, bearer in strays(self.run_dir):
            if labels.installation == self.installation and labels.deployment_id in scope:
                found.setdefault(labels.variant_id, {}).setdefault(bearer.token, (labels, bearer))
        return {variant: list(replicas.values()) for variant, replicas in found.items()}


def tenant_fingerprint(mark: TenantMark) -> str:
    return _digest(asdict(mark))


def variant_fingerprint(observed: Observed) -> str:
    return _digest([asdict(observed.mark), sorted(replica.identity for replica in observed.replicas)])


def route_fingerprint(route: Route) -> str:
    """A digest of what users of the route see, without its replicas, which change all the time."""
    return _digest(sorted([variant.name, variant.weight] for variant in route.variants))


def _variant(variant: Variant, answers: Mapping[Address, Answer]) -> LiveVariant:
    mark = variant.observed.mark
    return LiveVariant(
        mark.id,
        variant_fingerprint(variant.observed),
        mark.deployment_id,
        mark.version,
        mark.model,
        mark.digest,
        Replicas(mark.min_replicas, mark.max_replicas),
        mark.drain_seconds,
        mark.fields,
        running=sum(1 for replica in variant.observed.replicas if replica.serves),
        ready=len(variant.observed.ready(answers)),
        cause=variant.observed.awaited(answers),
        terminating=variant.folder.removal() is not None,
    )


def _unmarked(found: Sequence[Stray]) -> LiveVariant:
    """Processes that still run although somebody deleted the run directory."""
    labels, _ = found[0]
    fingerprint = _digest(sorted(bearer.token for _, bearer in found))
    described = {"version": labels.version}
    return LiveVariant(
        labels.variant_id,
        fingerprint,
        labels.deployment_id,
        labels.version,
        labels.model,
        described=described,
        running=_replica_count(found),
    )


def _route(identity: ResourceId, route: Route, *, reachable: bool) -> LiveRoute:
    weights = {variant_id(route.tenant, variant.name): variant.weight for variant in route.variants}
    return LiveRoute(identity, route_fingerprint(route), weights, reachable)


def _odd_processes(variant: Variant | None, found: Sequence[Stray]) -> dict[str, str]:
    overdue = 0
    if variant is not None and variant.folder.removal() is None:
        now = time.time()
        overdue = sum(1 for r in variant.observed.replicas if r.alive and r.kill_at is not None and now > r.kill_at)
    counts = {OVERDUE_FIELD: overdue, STRAY_FIELD: _replica_count(found)}
    return {name: str(count) for name, count in counts.items() if count}


def _replica_count(found: Sequence[Stray]) -> int:
    """A replica is a process and perhaps its children, all with one token."""
    return len({bearer.token for _, bearer in found})


def _unrouted(
    route: Route, variants: Mapping[ResourceId, Variant], answers: Mapping[Address, Answer]
) -> dict[str, str]:
    """Replicas that are ready and that the route does not know."""
    count = 0
    for routed in route.variants:
        variant = variants.get(variant_id(route.tenant, routed.name))
        known = {(replica.host, replica.port) for replica in routed.replicas}
        count += len(set(variant.observed.ready(answers)) - known) if variant else 0
    return {UNROUTED_FIELD: str(count)} if count else {}


def _digest(content: JSON) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
