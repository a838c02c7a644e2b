"""A cause that stops several resources, such as a tenant's quota, is shown in full once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from reconciler.model.resources import ResourceId, tenant_id

T = TypeVar("T")


def cause_of(tenant: str, message: str) -> str:
    """A deployment that its tenant stops repeats the tenant's own message, with the tenant's id before it."""
    return message.removeprefix(f"{tenant_id(tenant)}: ")


def by_cause(items: Iterable[T], cause: Callable[[T], str]) -> dict[str, list[T]]:
    """In the order of the first item of each cause."""
    found: dict[str, list[T]] = {}
    for item in items:
        found.setdefault(cause(item), []).append(item)
    return found


class SeenCauses:
    """Remembers which resource a cause was first shown for."""

    def __init__(self) -> None:
        self._first: dict[str, ResourceId] = {}

    def message(self, resource: ResourceId, message: str) -> str:
        """The message, or a reference to the resource that it was shown for before."""
        first = self._first.setdefault(cause_of(resource.tenant, message), resource)
        return message if first == resource else f"same cause as {first}"
