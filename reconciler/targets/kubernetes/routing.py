"""Moving traffic: only to what is ready, and not done before the gateway has taken over the route of this generation.

Called by `target.py` around the applying of a deployment's objects.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects import Object, ObjectRef
from reconciler.targets.protocol import Readiness, ReadinessState, TargetError

ACCEPTANCE_SECONDS = 60.0
POLL_SECONDS = 0.5
CONDITIONS = ("Accepted", "ResolvedRefs")


def check_ready(variants: Mapping[str, Readiness]) -> None:
    """TargetError unless each of these has a pod that is ready, or is to have none."""
    for handle, readiness in variants.items():
        if readiness.state is not ReadinessState.READY and not readiness.ready:
            raise TargetError("Traffic can't move", f"{handle} has no replica that is ready.", retryable=True)


def await_acceptance(kube: KubeClient, applied: Iterable[Object]) -> None:
    """Returns once every parent of the routes has accepted them as they are now. TargetError: refused, or not in time.

    A route without a parent waits for nobody: the stable Service serves.
    """
    deadline = time.monotonic() + ACCEPTANCE_SECONDS
    for route in applied:
        if route["kind"] == "HTTPRoute" and (parents := len(route["spec"].get("parentRefs") or ())):
            _await(kube, route, parents, deadline)


def _await(kube: KubeClient, route: Object, parents: int, deadline: float) -> None:
    ref = ObjectRef.of(route)
    missing = list(_missing(route, parents))
    while missing:
        if time.monotonic() > deadline:
            raise TargetError(
                "The gateway does not take the route",
                f"{ref}: {'; '.join(missing)}. As far as the gateway is concerned, traffic stays where it was.",
            )
        time.sleep(POLL_SECONDS)
        live = kube.get(ref)
        if live is None:
            raise TargetError("The route is gone", f"{ref} was removed while it was applied.", retryable=True)
        missing = list(_missing(live, parents))


def _missing(route: Object, parents: int) -> Iterator[str]:
    generation = int(route["metadata"].get("generation") or 0)
    statuses = (route.get("status") or {}).get("parents") or ()
    if len(statuses) < parents:
        yield "no controller has answered for its gateway"
    for status in statuses:
        for condition in status.get("conditions") or ():
            if condition["type"] not in CONDITIONS:
                continue
            if int(condition.get("observedGeneration") or 0) < generation:
                yield f"{condition['type']} is not known for this generation"
            elif condition["status"] != "True":
                yield f"{condition['type']} is {condition['status']}: {condition.get('message')}"
