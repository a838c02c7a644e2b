"""Whether requests reach a deployment by its route, as the route's own status and its namespace have it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.resources import Scope, deployment_id
from reconciler.targets.kubernetes.objects.identity import Object, marks
from reconciler.targets.kubernetes.objects.routes import NO_ANSWER, pending, refused
from reconciler.targets.kubernetes.planning.observe import group
from reconciler.targets.protocol import LiveRoute

CHURN = deployment_id("fraud", "churn")


def condition(kind: str, status: str = "True", generation: int = 2) -> Object:
    return {"type": kind, "status": status, "observedGeneration": generation, "message": f"{kind} said so"}


def route(*parents: list[Object], needed: int = 1) -> Object:
    spec: Object = {"rules": [{"backendRefs": [{"name": "churn-1", "weight": 100}]}]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {**metadata("churn"), "generation": 2},
        "spec": {**spec, "parentRefs": [{"name": "public"}] * needed} if needed else spec,
        "status": {"parents": [{"conditions": conditions} for conditions in parents]},
    }


def metadata(name: str) -> Object:
    labels = marks("prod", "fraud", "churn")
    return {"name": name, "namespace": "kubeserve-fraud", "uid": name, "labels": labels}


def service() -> Object:
    spec = {"selector": {"kubeserve.io/variant": "churn-1"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata("churn"), "spec": spec}


def namespace(**changes: Any) -> Object:
    labels = marks("prod", "fraud")
    found = {"name": "kubeserve-fraud", "uid": "n", "labels": labels, **changes}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": found, "spec": {}}


GOOD = [condition("Accepted"), condition("ResolvedRefs")]


def live(*objects: Object, lost_gateway: str | None = None) -> LiveRoute:
    return group(objects, Scope(), lost_gateway).routes[CHURN]


def test_a_route_that_all_its_parents_accepted_is_reachable() -> None:
    assert live(namespace(), service(), route(GOOD)) == live(route(GOOD), service(), namespace())
    assert (live(service(), route(GOOD)).reachable, live(service(), route(GOOD)).cause) == (True, "")
    assert live(service(), route(needed=0)).reachable


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([[condition("Accepted", "False"), condition("ResolvedRefs")]], "Accepted is False: Accepted said so"),
        ([[condition("Accepted"), condition("ResolvedRefs", "False")]], "ResolvedRefs is False: ResolvedRefs said so"),
        ([[condition("Accepted", "Unknown")]], "Accepted is Unknown: Accepted said so"),
        ([], NO_ANSWER),
    ],
)
def test_a_route_that_a_controller_refused_or_nobody_answered_carries_no_traffic(
    conditions: list[list[Object]], why: str
) -> None:
    found = live(service(), route(*conditions))
    assert (found.reachable, found.cause) == (False, f"HTTPRoute kubeserve-fraud/churn carries no traffic: {why}")


def test_each_parent_has_to_accept() -> None:
    assert list(refused(route(GOOD, needed=2))) == [NO_ANSWER]
    assert list(refused(route(GOOD, GOOD, needed=2))) == []
    assert list(refused(route(GOOD, [condition("Accepted", "False")], needed=2))) == [
        "Accepted is False: Accepted said so"
    ]


def test_what_a_controller_said_of_an_older_generation_is_no_refusal_and_no_acceptance() -> None:
    older = route([condition("Accepted", "False", 1), condition("ResolvedRefs", "True", 1)])
    assert list(refused(older)) == []
    assert list(pending(older)) == [
        "Accepted is not known for this generation",
        "ResolvedRefs is not known for this generation",
    ]
    assert list(pending(route(GOOD))) == []


def test_backends_that_are_leaving_may_be_unresolved() -> None:
    leaving = route([condition("Accepted"), condition("ResolvedRefs", "False")])
    assert list(pending(leaving, whole=False)) == []
    assert list(pending(leaving)) == ["ResolvedRefs is False: ResolvedRefs said so"]


def test_a_gateway_that_does_not_exist_is_the_cause_though_the_last_status_was_good() -> None:
    found = live(service(), route(GOOD), lost_gateway="infra/public")
    assert found.cause == "HTTPRoute kubeserve-fraud/churn carries no traffic: Gateway infra/public does not exist"
    assert live(service(), lost_gateway="infra/public").reachable  # no route of it needs the Gateway


def test_in_a_namespace_that_is_being_deleted_nothing_is_reachable() -> None:
    found = live(namespace(deletionTimestamp="2026-01-01T00:00:00Z"), service(), route(GOOD))
    assert (found.reachable, found.cause) == (False, "its namespace kubeserve-fraud is being deleted")
