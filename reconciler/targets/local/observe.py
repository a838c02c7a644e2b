"""What is live, read off the run directory and the processes that it names. Changes nothing.

Called once a round before the plan, and by the commands that show status. Only what carries this installation's
mark is told; what is beside the mark (a replica that is gone, a gateway that is down) is told as fields that
nobody would ask for, so that `prepare.py` finds it by comparing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import orjson

from reconciler.model.resources import JSON, Kind, ResourceId, Scope, variant_id
from reconciler.targets.local.gateway.routes import Route
from reconciler.targets.local.gateway_process import GatewayProcess, url_of
from reconciler.targets.local.marks import Owner, RunDir, TenantMark, VariantFolder, VariantMark
from reconciler.targets.local.probe import Address, Answer, probe
from reconciler.targets.local.processes import Bearer
from reconciler.targets.local.readiness import Observed, read_variant
from reconciler.targets.local.replicas import replicas_of
from reconciler.targets.local.routing import Routing
from reconciler.targets.local.strays import strays
from reconciler.targets.protocol import Live, LiveResource, TargetError

PROBE_SECONDS = 1.0

GATEWAY_FIELD = "gateway"
URL_FIELD = "url"
UNROUTED_FIELD = "ready replicas without traffic"
OVERDUE_FIELD = "replicas that don't end"
STRAY_FIELD = "processes without a record"


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
        found = [_tenant(mark) for mark in tenants.values()]
        found += [_variant(v, answers, unknown.pop(identity, [])) for identity, v in variants.items()]
        found += [_unmarked(identity, bearers) for identity, bearers in unknown.items()]
        found += [
            self._deployment(identity, route, variants, answers, address)
            for identity, route in self.routing.routes().items()
            if identity in scope and route.tenant in tenants
        ]
        return Live({resource.id: resource for resource in found})

    def check(self, resource: ResourceId, fingerprint: str | None) -> None:
        """TargetError unless a resource is ours and still what a plan saw. One on its way out isn't compared:
        it is what asking has made of it."""
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
        """None for what is gone or going."""
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

    def _strays(self, scope: Scope) -> dict[ResourceId, list[Bearer]]:
        """Processes of ours that no file tells of, by variant."""
        found: dict[ResourceId, list[Bearer]] = {}
        for owner, bearer in strays(self.run_dir):
            if owner.installation == self.installation and owner.deployment_id in scope:
                found.setdefault(owner.variant_id, []).append(bearer)
        return found

    def _deployment(
        self,
        identity: ResourceId,
        route: Route,
        variants: Mapping[ResourceId, Variant],
        answers: Mapping[Address, Answer],
        address: Address | None,
    ) -> LiveResource:
        fields = {GATEWAY_FIELD: "not running"}
        if address is not None:
            fields = {GATEWAY_FIELD: "running", URL_FIELD: f"{url_of(address)}/{identity.tenant}/{identity.name}"}
        if unrouted := _unrouted(route, variants, answers):
            fields[UNROUTED_FIELD] = str(unrouted)
        weights = {variant_id(route.tenant, variant.name): variant.weight for variant in route.variants}
        reachable = address is not None
        return LiveResource(identity, route_fingerprint(route), fields, weights=weights, reachable=reachable)


def tenant_fingerprint(mark: TenantMark) -> str:
    return _digest(asdict(mark))


def variant_fingerprint(observed: Observed) -> str:
    return _digest([asdict(observed.mark), sorted(replica.identity for replica in observed.replicas)])


def route_fingerprint(route: Route) -> str:
    """Of what its users see; its replicas come and go."""
    return _digest(sorted([variant.name, variant.weight] for variant in route.variants))


def _tenant(mark: TenantMark) -> LiveResource:
    return LiveResource(mark.id, tenant_fingerprint(mark))


def _variant(variant: Variant, answers: Mapping[Address, Answer], unknown: Collection[Bearer]) -> LiveResource:
    observed = variant.observed
    overdue = sum(1 for r in observed.replicas if r.alive and r.kill_at is not None and time.time() > r.kill_at)
    terminating = variant.folder.removal() is not None
    beside = {OVERDUE_FIELD: 0 if terminating else overdue, STRAY_FIELD: len(unknown)}
    return LiveResource(
        observed.mark.id,
        variant_fingerprint(observed),
        {**observed.mark.fields, **{name: str(count) for name, count in beside.items() if count}},
        observed.mark.deployment_id,
        observed.mark.digest,
        replicas=sum(1 for replica in observed.replicas if replica.serves),
        ready=len(observed.ready(answers)),
        terminating=terminating,
    )


def _unmarked(identity: ResourceId, unknown: Sequence[Bearer]) -> LiveResource:
    """What somebody left running who deleted the run directory."""
    owner = Owner.of(unknown[0].environment)
    return LiveResource(
        identity,
        _digest(sorted(bearer.token for bearer in unknown)),
        {"version": owner.version if owner else "", STRAY_FIELD: str(len(unknown))},
        owner.deployment_id if owner else None,
        replicas=len(unknown),
    )


def _unrouted(route: Route, variants: Mapping[ResourceId, Variant], answers: Mapping[Address, Answer]) -> int:
    """Replicas that are ready and that the route does not know."""
    count = 0
    for routed in route.variants:
        variant = variants.get(variant_id(route.tenant, routed.name))
        known = {(replica.host, replica.port) for replica in routed.replicas}
        count += len(set(variant.observed.ready(answers)) - known) if variant else 0
    return count


def _digest(content: JSON) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
