"""What the controllers of a Gateway say of an HTTPRoute, and what of it keeps requests from arriving. Pure.

https://gateway-api.sigs.k8s.io/guides/implementers/#resource-status
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.targets.kubernetes.objects.identity import Object

CONDITIONS = ("Accepted", "ResolvedRefs")
NO_ANSWER = "no controller has answered for its gateway"


def pending(route: Object, *, whole: bool = True) -> Iterator[str]:
    """Why a route is not taken over yet as it is now, in words; nothing for one without a parent, which waits for
    nobody. `whole`: whether all backends have to exist."""
    generation = int(route["metadata"].get("generation") or 0)
    yield from refused(route, whole=whole)
    for condition in _conditions(route):
        if int(condition.get("observedGeneration") or 0) < generation:
            yield f"{condition['type']} is not known for this generation"


def refused(route: Object, *, whole: bool = True) -> Iterator[str]:
    """Why a route carries no traffic, as far as its controllers have judged this generation of it."""
    if len((route.get("status") or {}).get("parents") or ()) < len(route["spec"].get("parentRefs") or ()):
        yield NO_ANSWER
    generation = int(route["metadata"].get("generation") or 0)
    for condition in _conditions(route):
        current = int(condition.get("observedGeneration") or 0) >= generation
        if current and condition["status"] != "True" and (whole or condition["type"] == "Accepted"):
            yield f"{condition['type']} is {condition['status']}: {condition.get('message')}"


def _conditions(route: Object) -> Iterator[Object]:
    """Those that count, of all parents."""
    for status in (route.get("status") or {}).get("parents") or () if route["spec"].get("parentRefs") else ():
        yield from (condition for condition in status.get("conditions") or () if condition["type"] in CONDITIONS)
