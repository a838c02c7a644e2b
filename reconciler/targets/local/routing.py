"""The live routes: which variants, and which of their replicas, the gateway sends a deployment's traffic to.

routes.json is the truth, and the gateway reads it. Every change takes the lock, writes the next generation, and waits
until the gateway has confirmed it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from reconciler.model.resources import ResourceId, deployment_id
from reconciler.targets.local.files import make_folder
from reconciler.targets.local.gateway.client import GatewayError
from reconciler.targets.local.gateway.routes import (
    Replica,
    Route,
    RouteTable,
    RouteTableError,
    RouteVariant,
    variant_key,
)
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.marks import VariantMark
from reconciler.targets.local.probe import Address
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.protocol import TargetError

Edit = Callable[[tuple[Route, ...]], tuple[Route, ...]]


@dataclass(frozen=True, slots=True)
class Destination:
    """One variant of a route: its share of the traffic, and where its ready replicas listen."""

    mark: VariantMark
    weight: int
    ready: tuple[Address, ...]


class Routing:
    def __init__(self, run_dir: RunDir, gateway: GatewayProcess) -> None:
        self._run_dir = run_dir
        self._gateway = gateway

    def routes(self) -> Mapping[ResourceId, Route]:
        """The routes of a run directory, by deployment."""
        return {deployment_id(route.tenant, route.deployment): route for route in self._table().routes}

    def set_route(self, deployment: ResourceId, destinations: Collection[Destination]) -> None:
        """Gives a deployment its traffic, and starts the gateway if it doesn't run. Returns once new requests go
        there. TargetError: a destination has no ready replica, or the gateway doesn't do it."""
        for destination in destinations:
            if destination.weight and not destination.ready:
                raise _not_ready(destination)
        route = _route(deployment, destinations)
        self._change(lambda routes: (*(r for r in routes if not _is_of(r, deployment)), route), start=True)

    def drop_route(self, deployment: ResourceId) -> None:
        """Removes a deployment's URL, which answers 404 from now on."""
        self._change(lambda routes: tuple(r for r in routes if not _is_of(r, deployment)))

    def drop_variant(self, variant: ResourceId) -> None:
        """Sends nothing new to a variant. Requests that ask for this variant by name get 503 from now on."""
        self._change(lambda routes: tuple(_without_variant(route, variant) for route in routes))

    def drop_replicas(self, variant: ResourceId, addresses: Collection[Address]) -> None:
        """Sends nothing new to some replicas of a variant."""
        gone = {Replica(*address) for address in addresses}
        self._change(lambda routes: tuple(_without_replicas(route, variant, gone) for route in routes))

    def in_flight(self, variant: ResourceId) -> int:
        """The number of a variant's unfinished requests; 0 if no gateway runs."""
        try:
            return self._gateway.client.inflight(variant_key(variant.tenant, variant.name))
        except GatewayError:
            return 0

    def _change(self, edit: Edit, *, start: bool = False) -> None:
        with FileLock(self._lock_file(), mode=0o600):
            table = self._table()
            routes = tuple(sorted(edit(table.routes), key=lambda route: (route.tenant, route.deployment)))
            if routes != table.routes:
                table = RouteTable(table.generation + 1, routes)
                table.write(self._run_dir.root)
            if start:
                self._gateway.start()
            if self._gateway.client.alive():
                self._confirm(table.generation)

    def _confirm(self, generation: int) -> None:
        in_force = self._gateway.client.reload()
        if in_force != generation:
            raise GatewayError(
                "Gateway has other routes", f"It serves generation {in_force}, not {generation}.", retryable=True
            )

    def _table(self) -> RouteTable:
        """The table on disk. One that can't be read counts as empty, because the round writes every route again."""
        try:
            return RouteTable.read(self._run_dir.root)
        except RouteTableError:
            return RouteTable(self._generation_in_force(), ())

    def _generation_in_force(self) -> int:
        try:
            return int(self._gateway.client.status()["generation"])
        except GatewayError:
            return 0

    def _lock_file(self) -> Path:
        make_folder(self._run_dir.root)
        return self._run_dir.root / "routes.lock"


def _route(deployment: ResourceId, destinations: Collection[Destination]) -> Route:
    variants = tuple(
        RouteVariant(
            destination.mark.variant,
            destination.mark.version,
            destination.mark.digest,
            destination.weight,
            tuple(Replica(*address) for address in destination.ready),
        )
        for destination in destinations
    )
    seconds = max(destination.mark.request_seconds for destination in destinations)
    return Route(deployment.tenant, deployment.name, seconds, variants)


def _is_of(route: Route, deployment: ResourceId) -> bool:
    return (route.tenant, route.deployment) == (deployment.tenant, deployment.name)


def _without_variant(route: Route, variant: ResourceId) -> Route:
    if route.tenant != variant.tenant:
        return route
    return replace(route, variants=tuple(v for v in route.variants if v.name != variant.name))


def _without_replicas(route: Route, variant: ResourceId, gone: Collection[Replica]) -> Route:
    if route.tenant != variant.tenant:
        return route
    variants = (
        replace(v, replicas=tuple(r for r in v.replicas if r not in gone)) if v.name == variant.name else v
        for v in route.variants
    )
    return replace(route, variants=tuple(variants))


def _not_ready(destination: Destination) -> TargetError:
    return TargetError(
        "Traffic can't move",
        f"{destination.mark.variant} (version {destination.mark.version}) has no replica that is ready.",
        retryable=True,
    )
