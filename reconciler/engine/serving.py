"""What serves: questions of the walks about the live state as the round began, and what the round changed since.

Asks no target anything. `moved` and `answering` are written by the walks alone, which run in one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from reconciler.model.resources import DesiredVariant, Kind, ResourceId
from reconciler.plan.inputs import World

DEFAULT_DRAIN_SECONDS = 30.0


class Serving:
    def __init__(self, world: World) -> None:
        self._world = world
        self._live = world.live
        self.moved: set[ResourceId] = set()  # deployments whose traffic this round has moved
        self.answering: dict[ResourceId, bool] = {}  # deployments whose readiness was read again after a failure

    def is_routed(self, variant: DesiredVariant) -> bool:
        """Whether it was in the deployment's route when the round began: proven, and perhaps serving."""
        route = self._live.routes.get(variant.deployment)
        return route is not None and variant.id in route.weights and variant.id in self._live.variants

    def initial_replicas(self, variant: DesiredVariant) -> int:
        """As many as serve now, so that traffic which moves finds the same capacity."""
        route = self._live.routes.get(variant.deployment)
        serving = [self._live.variants[v] for v in route.weights if v in self._live.variants] if route else []
        now = max((old.running for old in serving), default=0)
        return max(variant.replicas.min, min(now, variant.replicas.max))

    def drain_seconds(self, resource: ResourceId) -> float:
        """Drain time of a resource that is being removed."""
        variant = self._world.desired.variants.get(resource)
        if variant is not None:
            return variant.drain_seconds
        live = self._live.variants.get(resource)
        recorded = live.drain_seconds if live else None
        return DEFAULT_DRAIN_SECONDS if recorded is None else recorded

    def serves(self, resource: ResourceId) -> bool:
        """For a deployment: whether something answers at its address, as far as was last seen. For a version: whether
        every deployment that uses it serves, if with other content. For a tenant: whether it exists."""
        if resource.kind is Kind.TENANT:
            return resource in self._live.tenants
        if resource.kind is Kind.VERSION:
            users = self._users_of.get(resource, ())
            return bool(users) and all(self.serves(user) for user in users)
        route = self._live.routes.get(resource)
        if route is not None and not route.reachable and resource not in self.moved:
            return False
        if resource in self.answering:
            return self.answering[resource]
        return any(self._live.variants[variant].ready for variant in self._routed(resource))

    def variants(self, deployment: ResourceId) -> tuple[ResourceId, ...]:
        """The variants that take a deployment's traffic now."""
        if deployment in self.moved:
            weights = self._world.desired.deployments[deployment].weights
            return tuple(variant for variant, weight in weights.items() if weight)
        return self._routed(deployment)

    def _routed(self, deployment: ResourceId) -> tuple[ResourceId, ...]:
        """The variants that took its traffic when the round began."""
        route = self._live.routes.get(deployment)
        weights = route.weights if route else {}
        return tuple(variant for variant, weight in weights.items() if weight and variant in self._live.variants)

    @cached_property
    def _users_of(self) -> Mapping[ResourceId, set[ResourceId]]:
        """The deployments that use each version."""
        users: dict[ResourceId, set[ResourceId]] = {}
        for variant in self._world.desired.variants.values():
            users.setdefault(variant.version, set()).add(variant.deployment)
        return users
