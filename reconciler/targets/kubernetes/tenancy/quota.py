"""Whether a tenant's deployments fit into its quota, so that the plan reports it before the cluster does. Pure.

Counted as the cluster counts: a pod asks for the sum of its containers, or for its largest init container if that is
more (https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from reconciler.model.resources import JSON, Desired, DesiredVariant, Kind, ResourceId
from reconciler.targets.kubernetes.objects.identity import Object, Objects, deployment_of, workload
from reconciler.targets.kubernetes.objects.quantities import amount
from reconciler.targets.kubernetes.objects.rendered import Rendered
from reconciler.targets.kubernetes.tenancy.objects import DEFAULT_CONTAINER_CPU, DEFAULT_CONTAINER_MEMORY, quota_of
from reconciler.targets.protocol import TargetError
from specs.models.grants import Quota
from specs.models.platform import Platform
from specs.models.quantities import format_cpu, format_memory

_DEFAULTS = {"cpu": DEFAULT_CONTAINER_CPU, "memory": DEFAULT_CONTAINER_MEMORY}


@dataclass(frozen=True, slots=True)
class Need:
    """What some pods request."""

    cpu: int = 0  # millicores
    memory: int = 0  # bytes
    pods: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(self.cpu + other.cpu, self.memory + other.memory, self.pods + other.pods)

    def __mul__(self, count: int) -> Need:
        return Need(self.cpu * count, self.memory * count, self.pods * count)

    def __str__(self) -> str:
        pods = "1 pod" if self.pods == 1 else f"{self.pods} pods"
        return f"{format_cpu(self.cpu)} CPU, {format_memory(self.memory)} memory, {pods}"


@dataclass
class _Sum:
    wanted: Need = Need()  # what is desired, at its initial number of replicas
    replaced: Need = Need()  # what runs until its replacement is ready
    most: Need = Need()  # what is desired, at its maximum


@dataclass(frozen=True, slots=True)
class Quotas:
    """Tenant -> why it does not fit; tenant -> what to know though it fits."""

    errors: dict[ResourceId, TargetError] = field(default_factory=dict)
    notes: dict[ResourceId, str] = field(default_factory=dict)


def check_quotas(
    desired: Desired, live: Mapping[ResourceId, Objects], rendered: Mapping[ResourceId, Rendered], platform: Platform
) -> Quotas:
    """Every tenant's pods at the height of this plan's rollouts, old beside new, held against its quota."""
    sums = _sums(desired, live, rendered)
    found = Quotas()
    for tenant in desired.tenants:
        total, quota = sums.get(tenant.tenant, _Sum()), quota_of(platform, tenant.tenant)
        if over := list(_over(total.wanted + total.replaced, quota)):
            found.errors[tenant] = _error(tenant.tenant, total, over)
        elif over := list(_over(total.most, quota)):
            found.notes[tenant] = (
                f"all replicas that its autoscalers may start would need {'; '.join(over)}, so they will start fewer"
            )
    return found


def pod_need(template: Mapping[str, JSON]) -> Need:
    """What one pod of a template asks for; memory as the larger of what it requests and what it may use."""
    spec = template["spec"]
    return Need(
        cpu=int((_pod_amount(spec, "requests", "cpu") * 1000).to_integral_value()),
        memory=int(max(_pod_amount(spec, kind, "memory") for kind in ("requests", "limits"))),
        pods=1,
    )


def replicas_of(found: Object | None) -> int:
    """The number of pods that a live workload has, or will have."""
    if found is None:
        return 0
    replicas = found["spec"].get("replicas")
    return int(1 if replicas is None else replicas)


def _sums(
    desired: Desired, live: Mapping[ResourceId, Objects], rendered: Mapping[ResourceId, Rendered]
) -> dict[str, _Sum]:
    serving: dict[ResourceId, int] = {}  # deployment -> replicas of its largest live variant
    sums: dict[str, _Sum] = {}
    for resource, objects in live.items():
        running = workload(objects.values()) if resource.kind is Kind.VARIANT else None
        if running is None:
            continue
        count = replicas_of(running)
        deployment = deployment_of(resource, running)
        serving[deployment] = max(serving.get(deployment, 0), count)
        if resource not in desired.variants:
            total = sums.setdefault(resource.tenant, _Sum())
            total.replaced += pod_need(running["spec"]["template"]) * count
    for variant in desired.variants.values():
        made = workload(rendered[variant.id].objects)
        if made is not None:
            need = pod_need(made["spec"]["template"])
            total = sums.setdefault(variant.id.tenant, _Sum())
            total.wanted += need * _replicas(variant, live, serving)
            total.most += need * variant.replicas.max
    return sums


def _replicas(variant: DesiredVariant, live: Mapping[ResourceId, Objects], serving: Mapping[ResourceId, int]) -> int:
    """A new variant starts with as many as the old one has; a live one keeps what its autoscaler chose."""
    running = workload(live.get(variant.id, {}).values())
    now = replicas_of(running) if running else serving.get(variant.deployment, 0)
    return max(variant.replicas.min, min(now, variant.replicas.max))


def _pod_amount(spec: Mapping[str, JSON], kind: str, resource: str) -> Decimal:
    amounts = [_container_amount(one, kind, resource) for one in spec.get("containers") or ()]
    inits = spec.get("initContainers") or ()
    sidecars = sum((_container_amount(one, kind, resource) for one in inits if _is_sidecar(one)), Decimal())
    first = max((_container_amount(one, kind, resource) for one in inits if not _is_sidecar(one)), default=Decimal())
    overhead = amount((spec.get("overhead") or {}).get(resource, "0")) or Decimal()
    return max(sum(amounts, Decimal()), first) + sidecars + overhead


def _container_amount(container: Mapping[str, JSON], kind: str, resource: str) -> Decimal:
    """As admission completes it: missing requests are the limits, else the values of the tenant's LimitRange."""
    resources = container.get("resources") or {}
    said = (resources.get(kind) or {}).get(resource) or (resources.get("limits") or {}).get(resource)
    return amount(said or _DEFAULTS[resource]) or Decimal()


def _is_sidecar(container: Mapping[str, JSON]) -> bool:
    return container.get("restartPolicy") == "Always"


def _over(need: Need, quota: Quota) -> Iterator[str]:
    if quota.cpu_millicores is not None and need.cpu > quota.cpu_millicores:
        yield f"{format_cpu(need.cpu)} CPU of {format_cpu(quota.cpu_millicores)}"
    if quota.memory_bytes is not None and need.memory > quota.memory_bytes:
        yield f"{format_memory(need.memory)} memory of {format_memory(quota.memory_bytes)}"
    if quota.pods is not None and need.pods > quota.pods:
        yield f"{need.pods} pods of {quota.pods}"


def _error(tenant: str, total: _Sum, over: list[str]) -> TargetError:
    beside = f", and {total.replaced} for those that run until they are replaced" if total.replaced.pods else ""
    return TargetError(
        "Tenant does not fit into its quota",
        f"Tenant '{tenant}' needs {total.wanted} for what is asked{beside}: {'; '.join(over)}. Ask for less, change "
        "fewer deployments at once, or have the operator raise the quota.",
    )
