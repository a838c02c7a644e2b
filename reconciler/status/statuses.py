"""How deployments are: the record of the last round held against what is live now. Pure; for `kubeserve status`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.model.resources import JSON, Kind, ResourceId, Scope
from reconciler.state.model import Phase, Record, State
from reconciler.targets.protocol import Live, LiveRoute, LiveVariant


@dataclass(frozen=True, slots=True)
class VariantStatus:
    name: str
    version: str
    weight: int  # percent of the traffic
    digest: str
    ready: int  # replicas that answer
    replicas: int  # replicas that there should be
    cause: str = ""  # why one that runs is not ready


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    tenant: str
    name: str
    phase: Phase
    reason: str
    message: str
    since: str
    url: str
    variants: tuple[VariantStatus, ...]
    log: tuple[str, ...] = ()
    claimed: bool = True  # the state file knows it

    @property
    def id(self) -> str:
        return f"{self.tenant}/{self.name}"


def deployment_statuses(
    state: State, live: Live, url: Callable[[ResourceId], str | None], scope: Scope
) -> tuple[DeploymentStatus, ...]:
    """Every deployment that is recorded or live, in the order of tenant and name."""
    variants: dict[ResourceId, list[LiveVariant]] = {}
    for variant in live.variants.values():
        variants.setdefault(variant.deployment, []).append(variant)
    known = {r for r in state.resources if r.kind is Kind.DEPLOYMENT} | live.routes.keys() | variants.keys()
    return tuple(
        _status(
            deployment,
            state.resources.get(deployment),
            live,
            variants.get(deployment, []),
            url(deployment) if deployment in live.routes else None,
        )
        for deployment in sorted(known)
        if deployment in scope
    )


def status_document(statuses: tuple[DeploymentStatus, ...]) -> JSON:
    """The stable JSON form that `kubeserve status -o json` prints."""
    return {"deployments": [_document(status) for status in statuses]}


def _status(
    deployment: ResourceId, record: Record | None, live: Live, variants: list[LiveVariant], url: str | None
) -> DeploymentStatus:
    route = live.routes.get(deployment)
    weights: Mapping[ResourceId, int] = route.weights if route else {}
    shown = tuple(
        VariantStatus(
            name=variant.id.name,
            version=variant.version,
            weight=weights.get(variant.id, 0),
            digest=variant.digest,
            ready=variant.ready,
            replicas=max(variant.running, variant.replicas.min if variant.replicas else 0),
            cause=variant.cause,
        )
        for variant in sorted(variants, key=lambda v: (-weights.get(v.id, 0), v.id))
    )
    base = record or Record(
        Phase.PROGRESSING, reason="Unclaimed", message="It runs, but the state file does not know it."
    )
    phase, reason, message = _now(base, route, shown)
    return DeploymentStatus(
        deployment.tenant,
        deployment.name,
        phase,
        reason,
        message,
        base.since,
        url or base.url,
        shown,
        base.log,
        record is not None,
    )


def _now(record: Record, route: LiveRoute | None, variants: tuple[VariantStatus, ...]) -> tuple[Phase, str, str]:
    """The record, unless what is live tells otherwise: replicas can die after a round has ended."""
    reachable = route is not None and route.reachable
    serving = [v for v in variants if v.weight]
    answers = any(v.ready for v in serving)
    if record.phase is Phase.DEGRADED and not (reachable and answers):
        return Phase.FAILED, record.reason, record.message
    if record.phase is not Phase.READY:
        return record.phase, record.reason, record.message
    if not reachable:
        why = f"{route.cause[:1].upper()}{route.cause[1:]}." if route and route.cause else "Nothing answers its URL."
        return Phase.FAILED, "NotReachable", f"{why} `kubeserve apply` makes it answer again, or says what is missing."
    cause = next((v.cause for v in serving if v.cause), "").rstrip(".")
    if not answers and cause:
        return Phase.FAILED, "NotReady", f"Nothing that should serve is ready: {cause}."
    if not answers:
        return Phase.FAILED, "NotRunning", "Nothing that should serve runs. `kubeserve apply` starts it again."
    missing = [v for v in serving if v.ready < v.replicas]
    if missing:
        what = ", ".join(f"{v.ready} of {v.replicas} replicas of version {v.version}" for v in missing)
        if cause:
            return Phase.DEGRADED, "NotReady", f"Only {what} are ready: {cause}."
        return Phase.DEGRADED, "ReplicasMissing", f"Only {what} answer. `kubeserve apply` starts the others again."
    return record.phase, record.reason, record.message


def _document(status: DeploymentStatus) -> JSON:
    return {
        "tenant": status.tenant,
        "deployment": status.name,
        "phase": status.phase.value,
        "reason": status.reason,
        "message": status.message,
        "since": status.since,
        "url": status.url,
        "claimed": status.claimed,
        "variants": [
            {
                "name": variant.name,
                "version": variant.version,
                "weight": variant.weight,
                "digest": variant.digest,
                "readyReplicas": variant.ready,
                "replicas": variant.replicas,
            }
            for variant in status.variants
        ],
        "log": list(status.log),
    }
