"""The routing table as the target writes it and the gateway reads it: routes.json of a run directory.

The target builds a `RouteTable`, writes it and asks the gateway to reload; the gateway reads it whole, or
refuses it whole. Imports nothing heavy: every command that applies uses it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler.targets.local.files import write_atomically

ROUTES_FILE = "routes.json"

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_HIGHEST_PORT = 65_535


class RouteTableError(ValueError):
    """A routes.json that can't be what the target wrote; says what is wrong with it, in one line."""


@dataclass(frozen=True, slots=True)
class Replica:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class RouteVariant:
    name: str
    version: str
    digest: str
    weight: int  # relative to its siblings; 0: reached only by asking for it
    replicas: tuple[Replica, ...]  # the ready ones


@dataclass(frozen=True, slots=True)
class Route:
    tenant: str
    deployment: str
    request_seconds: float  # how long one exchange may take, from its first byte to its last
    variants: tuple[RouteVariant, ...]

    @property
    def key(self) -> str:
        """`fraud/churn`, which is what its paths begin with."""
        return f"{self.tenant}/{self.deployment}"


@dataclass(frozen=True, slots=True)
class RouteTable:
    generation: int
    routes: tuple[Route, ...]

    def to_json(self) -> bytes:
        return orjson.dumps(self, option=orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, data: bytes) -> RouteTable:
        """Inverse of `to_json`. Raises RouteTableError for anything else, duplicates included."""
        try:
            table = _table(orjson.loads(data))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise RouteTableError(f"it doesn't have the shape of a routing table: {error}") from error
        _refuse_repeated("deployment", [route.key for route in table.routes])
        _refuse_repeated("variant", [variant_key(r.tenant, v.name) for r in table.routes for v in r.variants])
        return table

    @classmethod
    def read(cls, run_dir: Path) -> RouteTable:
        """The table of a run directory; generation 0 without routes where none was written yet."""
        try:
            return cls.from_json((run_dir / ROUTES_FILE).read_bytes())
        except FileNotFoundError:
            return cls(0, ())

    def write(self, run_dir: Path) -> None:
        """Readers see the old table or this one, never a part of it; also after a power cut."""
        write_atomically(run_dir / ROUTES_FILE, self.to_json())


def variant_key(tenant: str, variant: str) -> str:
    """What the gateway counts requests by: `fraud/churn-0a1b2c3d4e`."""
    return f"{tenant}/{variant}"


def _table(data: Mapping[str, Any]) -> RouteTable:
    return RouteTable(_at_least(0, data["generation"]), tuple(_route(route) for route in _list(data["routes"])))


def _route(data: Mapping[str, Any]) -> Route:
    seconds = data["request_seconds"]
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise RouteTableError(f"request_seconds is {seconds!r}, which is no time to answer in")
    return Route(
        _matching(_LABEL, data["tenant"]),
        _matching(_LABEL, data["deployment"]),
        float(seconds),
        tuple(_variant(variant) for variant in _list(data["variants"])),
    )


def _variant(data: Mapping[str, Any]) -> RouteVariant:
    return RouteVariant(
        _matching(_LABEL, data["name"]),
        _matching(_VERSION, data["version"]),
        str(data["digest"]),
        _at_least(0, data["weight"]),
        tuple(_replica(replica) for replica in _list(data["replicas"])),
    )


def _replica(data: Mapping[str, Any]) -> Replica:
    port = _at_least(1, data["port"])
    if port > _HIGHEST_PORT:
        raise RouteTableError(f"{port} is no port")
    return Replica(str(data["host"]), port)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RouteTableError(f"{value!r} stands where a list belongs")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    # Names go into header lines and metric labels unescaped, so nothing else may come in here.
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise RouteTableError(f"{value!r} is no name")
    return value


def _at_least(least: int, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RouteTableError(f"{value!r} stands where a whole number of at least {least} belongs")
    return value


def _refuse_repeated(what: str, names: Collection[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RouteTableError(f"{what} {name} is there twice")
        seen.add(name)
