"""What a plan refuses because of the cluster: a foreign namespace, a missing Secret, Gateway or kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.model.resources import Desired, ResourceId, tenant_id
from reconciler.targets.kubernetes.objects.identity import INSTALLATION, MANAGED_BY, MANAGER, TENANT, Object
from reconciler.targets.kubernetes.objects.kinds import HTTP_ROUTE
from reconciler.targets.kubernetes.tenancy.objects import SecretCopy, namespace_of, secret_copies
from reconciler.targets.protocol import TargetError
from specs.models.cluster import Routing
from specs.models.platform import Platform


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the plan has to know of the cluster besides our own objects."""

    serves: Callable[[str, str], bool]
    namespaces: Mapping[str, Object]  # those of desired tenants that exist without our labels, or are being deleted
    secrets: Mapping[str, str]  # NAMESPACE/NAME of the operator's Secrets -> resourceVersion; absent ones are missing
    keys: Mapping[str, Collection[str]] = field(default_factory=dict)  # of those whose keys matter: which have a value
    has_gateway: bool = True  # whether the Gateway that platform.yaml names exists


def refusals(desired: Desired, platform: Platform, around: Surroundings) -> dict[ResourceId, TargetError]:
    """Tenant or deployment -> why nothing can be done for it. Resources that share a cause have equal errors: what is
    wrong with a tenant's namespace or Secrets is wrong with each of its deployments."""
    tenants = dict(_of_tenants(desired, platform, around))
    of_tenants = {d: tenants[tenant] for d in desired.deployments if (tenant := tenant_id(d.tenant)) in tenants}
    return {**tenants, **dict(_of_routing(desired, platform, around)), **of_tenants}


def unusable_namespace(namespace: Object, platform: Platform, tenant: str) -> TargetError | None:
    """Why this installation can't use a namespace, or can't use it now; None if it can."""
    name, labels = namespace["metadata"]["name"], namespace["metadata"].get("labels") or {}
    if namespace["metadata"].get("deletionTimestamp"):
        return TargetError(
            "Namespace is being deleted",
            f"Somebody deleted namespace {name}, and all that is in it is being removed. Once it is gone, the next "
            f"round creates it again; if it stays, `kubectl describe namespace {name}` says what holds it.",
        )
    if labels.get(INSTALLATION) == platform.installation and labels.get(TENANT) == tenant:
        return None
    if INSTALLATION in labels:
        return TargetError(
            "Tenant belongs to another installation",
            f"Namespace {name} is tenant '{labels.get(TENANT)}' of another installation, '{labels[INSTALLATION]}'. "
            "Choose another `kubernetes: {namespacePrefix: …}`.",
        )
    return TargetError(
        "Namespace belongs to somebody else",
        f"Namespace {name} exists and does not have this installation's labels. Choose another namespacePrefix, or "
        f"adopt it with all that is in it: kubectl label namespace {name} {MANAGED_BY}={MANAGER} "
        f"{INSTALLATION}={platform.installation} {TENANT}={tenant}",
    )


def _of_tenants(desired: Desired, platform: Platform, around: Surroundings) -> Iterator[tuple[ResourceId, TargetError]]:
    for tenant in desired.tenants:
        there = around.namespaces.get(namespace_of(platform, tenant.tenant))
        unusable = unusable_namespace(there, platform, tenant.tenant) if there else None
        missing = [c.source for c in secret_copies(platform, tenant.tenant) if c.source not in around.secrets]
        if unusable:
            yield tenant, unusable
        elif missing:
            yield (
                tenant,
                TargetError(
                    "A Secret of the operator is missing",
                    f"platform.yaml names {', '.join(missing)}, which the cluster does not have, or "
                    "which KubeServe may not read. Create it, and allow KubeServe to read it by its name.",
                ),
            )
        elif (error := _lacking_keys(platform, tenant.tenant, around)) is not None:
            yield tenant, error


def lacking_keys(copy: SecretCopy, keys: Collection[str]) -> TargetError | None:
    """Why a Secret of the operator with these keys is of no use; None where it has all that are needed."""
    missing = [key for key in copy.keys if key not in keys]
    if not missing:
        return None
    return TargetError(
        "A Secret of the operator lacks a key",
        f"{copy.source} has no {' and no '.join(missing)}, with which pods read the store. Add it there.",
    )


def _lacking_keys(platform: Platform, tenant: str, around: Surroundings) -> TargetError | None:
    errors = (
        lacking_keys(copy, around.keys[copy.source])
        for copy in secret_copies(platform, tenant)
        if copy.source in around.keys
    )
    return next(filter(None, errors), None)


def _of_routing(desired: Desired, platform: Platform, around: Surroundings) -> Iterator[tuple[ResourceId, TargetError]]:
    routing = platform.kubernetes.routing
    lacks_gateway = routing is Routing.GATEWAY and not around.serves(*HTTP_ROUTE)
    for deployment in desired.deployments.values():
        weighted = sum(1 for weight in deployment.weights.values() if weight) > 1
        if lacks_gateway:
            yield (
                deployment.id,
                TargetError(
                    "The cluster has no Gateway API",
                    "`routing: gateway` needs its HTTPRoute, which this cluster does not serve. Install the Gateway "
                    "API's custom resources, or write `routing: ingress` or `routing: service` in platform.yaml.",
                ),
            )
        elif not around.has_gateway:
            yield (
                deployment.id,
                TargetError(
                    "The Gateway does not exist",
                    f"platform.yaml names Gateway {platform.kubernetes.gateway} as the parent of all routes, and the "
                    "cluster has none of this name. Create it, or correct `kubernetes: {gateway: NAMESPACE/NAME}`.",
                ),
            )
        elif weighted and (routing is not Routing.GATEWAY or platform.kubernetes.gateway is None):
            yield deployment.id, _unweighted(deployment.name, platform)


def _unweighted(deployment: str, platform: Platform) -> TargetError:
    kubernetes = platform.kubernetes
    how = "no gateway is named, so only the stable Service serves"
    if kubernetes.routing is not Routing.GATEWAY:
        how = f"`routing: {kubernetes.routing}` sends it to a single one"
    return TargetError(
        "This routing can't split traffic",
        f"Deployment '{deployment}' shares its traffic between versions, and {how}. Serve one version, or have the "
        "operator write `routing: gateway` with a `gateway:` in platform.yaml.",
    )
