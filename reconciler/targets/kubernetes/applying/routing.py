"""Moves traffic: only to ready variants; backends are added before the weights move and removed afterwards; done once
the gateway has accepted this generation of the route.

Called by `rollout.py` around the applying of a deployment's objects.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from reconciler.model.resources import ResourceId
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef
from reconciler.targets.kubernetes.objects.kinds import HTTP_ROUTE
from reconciler.targets.kubernetes.objects.routes import pending
from reconciler.targets.protocol import Readiness, ReadinessState, TargetError

POLL_SECONDS = 0.5
MAX_BACKENDS = 16
"""In one rule, by the schema of the Gateway API."""


def check_ready(variants: Mapping[ResourceId, Readiness]) -> None:
    """TargetError unless each of these has a ready pod, or should have none."""
    for variant, readiness in variants.items():
        if readiness.state is not ReadinessState.READY and not readiness.ready:
            raise TargetError("Traffic can't move", f"{variant} has no replica that is ready.", retryable=True)


def stages(wanted: Iterable[Object], live: Mapping[ObjectRef, Object]) -> Iterator[Object]:
    """The routes to apply first, one after the other, so that backends are added and removed while their weight is 0.

    Envoy learns of backends and of weights separately, in no particular order. A request that a route sends to a
    backend which Envoy does not know yet, or no longer knows, gets a 503
    (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations).
    """
    for route in wanted:
        there = live.get(ObjectRef.of(route))
        if route["kind"] != HTTP_ROUTE.kind or there is None or not _is_simple(route, there):
            continue
        before, after = _backends(there), _backends(route)
        joining = {name: {**backend, "weight": 0} for name, backend in after.items() if name not in before}
        leaving = {name: {**backend, "weight": 0} for name, backend in before.items() if name not in after}
        for backends, changes in (({**before, **joining}, joining), ({**after, **leaving}, leaving)):
            if before and changes and len(backends) <= MAX_BACKENDS:
                yield _with_backends(route, list(backends.values()))


def await_acceptance(kube: KubeClient, applied: Iterable[Object], seconds: float, *, whole: bool = True) -> None:
    """Returns once every parent of the routes has accepted them as they are now. TargetError: refused, or not in time.

    A route without a parent needs no acceptance: the stable Service serves. `whole`: whether all backends have to
    exist; those that are being removed may be gone already.
    """
    deadline = time.monotonic() + seconds
    for route in applied:
        if route["kind"] == HTTP_ROUTE.kind:
            _await(kube, route, deadline, whole=whole)


def _is_simple(*routes: Object) -> bool:
    """Whether they have a single rule, as the chart makes them."""
    return all(len(route["spec"].get("rules") or ()) == 1 for route in routes)


def _backends(route: Object) -> dict[str, Object]:
    (rule,) = route["spec"]["rules"]
    return {backend["name"]: backend for backend in rule.get("backendRefs") or ()}


def _with_backends(route: Object, backends: list[Object]) -> Object:
    (rule,) = route["spec"]["rules"]
    return {**route, "spec": {**route["spec"], "rules": [{**rule, "backendRefs": backends}]}}


def _await(kube: KubeClient, route: Object, deadline: float, *, whole: bool) -> None:
    ref = ObjectRef.of(route)
    missing = list(pending(route, whole=whole))
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
        missing = list(pending(live, whole=whole))
