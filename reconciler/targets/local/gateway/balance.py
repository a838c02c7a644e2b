"""Which variant, and which of its replicas, answers the next request; and how many requests each is answering.

Pure and single-threaded: the event loop is the only caller, and nothing here waits, so that a swap of the
table falls between two requests and never into one. `exchange` asks, `admin` swaps and reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.targets.local.gateway.headers import signature
from reconciler.targets.local.gateway.routes import Replica, Route, RouteTable, RouteVariant, variant_key

REFUSED_SECONDS = 1.0
"""How long a replica that refused a connection is asked last."""


@dataclass(slots=True, eq=False)
class LiveReplica:
    host: str
    port: int
    inflight: int = 0
    refused_until: float = 0.0  # on the event loop's clock
    suspect: bool = False  # it may not be ready any more: `suspects` asks it
    retired: bool = False  # no longer in the table: its connections are not kept
    idle: deque[tuple[Any, float]] = field(default_factory=deque)  # (connection, idle since), for `upstream` alone


@dataclass(slots=True, eq=False)
class LiveVariant:
    """A variant in the table, or one that left it and still has requests to finish."""

    key: str
    name: str
    version: str = ""
    weight: int = 0
    replicas: tuple[LiveReplica, ...] = ()
    signature: bytes = b""  # header lines that name the variant that answered
    inflight: int = 0
    retired: bool = False
    _turn: int = 0

    def least_busy(self, now: float, tried: Collection[LiveReplica] = ()) -> LiveReplica | None:
        """The replica with the fewest requests; equal ones take turns. Recent refusers come last."""
        replicas = self.replicas
        if len(replicas) == 1 and not tried:
            return replicas[0]
        best: LiveReplica | None = None
        best_rank = (True, 0)
        for offset in range(len(replicas)):
            replica = replicas[(self._turn + offset) % len(replicas)]
            rank = (replica.refused_until > now, replica.inflight)
            if replica not in tried and (best is None or rank < best_rank):
                best, best_rank = replica, rank
        if best is not None:
            self._turn = (replicas.index(best) + 1) % len(replicas)
        return best


class LiveRoute:
    """A deployment's traffic, split by smooth weighted round robin: of each run of as many requests as the weights
    add up to, every variant gets exactly its weight, spread as evenly as can be (nginx does the same). A random
    choice would be as fair in the long run only, and a canary of 1% is watched in the short one."""

    __slots__ = ("_credits", "_weighted", "deployment", "key", "request_seconds", "tenant", "variants")

    def __init__(self, route: Route, variants: tuple[LiveVariant, ...], old: LiveRoute | None) -> None:
        self.key = route.key
        self.tenant = route.tenant
        self.deployment = route.deployment
        self.request_seconds = route.request_seconds
        self.variants = variants
        self._weighted = tuple((variant, variant.weight) for variant in variants if variant.weight > 0)
        # A reload because of another deployment must not restart this deployment's cycle.
        self._credits: list[int] = [0] * len(self._weighted)
        if old is not None and old._weighted == self._weighted:
            self._credits = old._credits

    def next(self) -> LiveVariant | None:
        """The variant whose turn it is; None if no variant has a weight."""
        weighted = self._weighted
        if len(weighted) <= 1:
            return weighted[0][0] if weighted else None
        credit, total, best = self._credits, 0, 0
        for index, (_, weight) in enumerate(weighted):
            total += weight
            credit[index] += weight
            if credit[index] > credit[best]:
                best = index
        credit[best] -= total
        return weighted[best][0]

    def others(self, than: LiveVariant) -> list[LiveVariant]:
        """The variants that may answer instead of this one: those with a weight, the heaviest first."""
        rest = [(variant, weight) for variant, weight in self._weighted if variant is not than]
        return [variant for variant, _ in sorted(rest, key=lambda pair: -pair[1])]

    def named(self, name_or_version: str) -> LiveVariant | None:
        """The variant of that name, else the one of that version with the largest weight, which may be 0."""
        found = [v for v in self.variants if v.name == name_or_version]
        found = found or [v for v in self.variants if v.version == name_or_version]
        return max(found, key=lambda variant: variant.weight, default=None)


class Balancer:
    """The table in force, and the variants that left it but still answer requests.

    `on_arrival` and `on_departure` are called with variants that arrived, and that have left and finished.
    """

    def __init__(
        self,
        on_arrival: Callable[[LiveRoute, LiveVariant], None] = lambda route, variant: None,
        on_departure: Callable[[LiveVariant], None] = lambda variant: None,
    ) -> None:
        self.generation = 0
        self.routes: Mapping[str, LiveRoute] = {}
        self._variants: dict[str, LiveVariant] = {}
        self._on_arrival = on_arrival
        self._on_departure = on_departure

    def swap(self, table: RouteTable) -> list[LiveReplica]:
        """Puts a table in force. Returns the replicas that it no longer has."""
        before = {replica for variant in self._variants.values() for replica in variant.replicas}
        known, self._variants = self._variants, {}
        arrived: list[tuple[LiveRoute, LiveVariant]] = []
        routes: dict[str, LiveRoute] = {}
        for route in table.routes:
            variants = tuple(self._take(route.tenant, variant, known) for variant in route.variants)
            live = routes[route.key] = LiveRoute(route, variants, self.routes.get(route.key))
            arrived += [(live, variant) for variant in variants if variant.key not in known]
        self.generation, self.routes = table.generation, routes
        self._retire([variant for key, variant in known.items() if key not in self._variants])
        for live, variant in arrived:
            self._on_arrival(live, variant)
        return self._left(before)

    def begin(self, variant: LiveVariant, replica: LiveReplica) -> None:
        variant.inflight += 1
        replica.inflight += 1

    def end(self, variant: LiveVariant, replica: LiveReplica) -> None:
        variant.inflight -= 1
        replica.inflight -= 1
        if variant.retired and variant.inflight == 0:
            self._depart(variant)

    def replicas(self) -> list[LiveReplica]:
        return [replica for variant in self._variants.values() for replica in variant.replicas]

    def inflight(self) -> dict[str, int]:
        """Variant key -> requests that are being answered; only where there are any."""
        return {key: variant.inflight for key, variant in self._variants.items() if variant.inflight}

    def _take(self, tenant: str, spec: RouteVariant, known: Mapping[str, LiveVariant]) -> LiveVariant:
        key = variant_key(tenant, spec.name)
        variant = known.get(key) or LiveVariant(key, spec.name)
        variant.version, variant.weight, variant.retired = spec.version, spec.weight, False
        variant.signature = signature(spec.name, spec.version)
        variant.replicas = _replicas(spec.replicas, variant.replicas)
        self._variants[key] = variant
        return variant

    def _retire(self, variants: Collection[LiveVariant]) -> None:
        for variant in variants:
            variant.retired = True
            self._variants[variant.key] = variant
            if variant.inflight == 0:
                self._depart(variant)

    def _depart(self, variant: LiveVariant) -> None:
        del self._variants[variant.key]
        self._on_departure(variant)

    def _left(self, before: Collection[LiveReplica]) -> list[LiveReplica]:
        there = {r for variant in self._variants.values() if not variant.retired for r in variant.replicas}
        for replica in before:
            replica.retired = replica not in there
        return [replica for replica in before if replica.retired]


def _replicas(wanted: Collection[Replica], known: Collection[LiveReplica]) -> tuple[LiveReplica, ...]:
    there = {(replica.host, replica.port): replica for replica in known}
    return tuple(there.get((r.host, r.port)) or LiveReplica(r.host, r.port) for r in wanted)
