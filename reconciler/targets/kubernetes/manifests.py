"""What this target would apply to an empty cluster, found out without one. Called by `kubeserve render`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.resources import Desired, ResourceId, Scope
from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.planning.observe import group
from reconciler.targets.kubernetes.planning.prepare import prepare
from reconciler.targets.kubernetes.rendering import Renderer
from reconciler.targets.kubernetes.tenancy.permissions import manifest as rbac_manifest
from reconciler.targets.kubernetes.tenancy.permissions import operator_secrets
from reconciler.targets.kubernetes.tenancy.preconditions import Surroundings
from specs.errors import Trouble
from specs.models.platform import Platform

__all__ = ["Manifests", "RenderSettings", "manifests", "rbac_manifest"]


@dataclass(frozen=True, slots=True)
class Manifests:
    """The objects of one resource in the order in which they are applied, or why there are none."""

    resource: ResourceId
    objects: tuple[Object, ...] = ()
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """`base`: the folder of platform.yaml; `monitors`: whether to render ServiceMonitors."""

    cache: Path
    base: Path
    monitors: bool = False


def manifests(platform: Platform, desired: Desired, scope: Scope, settings: RenderSettings) -> tuple[Manifests, ...]:
    """Everything in the scope, in the order in which it is applied. Every Secret of the operator counts as present."""
    renderer = Renderer(platform, settings.cache, base=settings.base)
    rendered = renderer.render(desired, monitors=settings.monitors)
    secrets = {f"{secret.namespace}/{secret.name}": "" for secret in operator_secrets(platform)}
    nothing = group((), Scope())
    prepared = prepare(desired, nothing, rendered, platform, Surroundings(lambda *_: True, {}, secrets))
    return tuple(
        Manifests(resource, trouble=trouble)
        if (trouble := prepared.resources[resource].trouble)
        else Manifests(resource, prepared.payloads[resource].objects)
        for resource in _in_order(desired, scope)
    )


def _in_order(desired: Desired, scope: Scope) -> Iterator[ResourceId]:
    """Tenants, then of each deployment its variants and its route."""
    yield from sorted(tenant for tenant in desired.tenants if tenant in scope)
    for deployment in sorted(desired.deployments):
        if deployment in scope:
            yield from (variant.id for variant in desired.variants_of[deployment])
            yield deployment
