"""How a route's backends change without a request for one that the gateway does not know."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reconciler.targets.kubernetes.applying.routing import MAX_BACKENDS, stages
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef

Weights = Mapping[str, int]


def route(weights: Weights) -> Object:
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "churn", "namespace": "fraud"},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}]},
    }


def between(before: Object, after: Object) -> list[Weights]:
    return [
        {backend["name"]: backend["weight"] for backend in stage["spec"]["rules"][0]["backendRefs"]}
        for stage in stages([after], {ObjectRef.of(before): before})
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"v1": 100}, {"v2": 100}, [{"v1": 100, "v2": 0}, {"v2": 100, "v1": 0}]),
        ({"v1": 100}, {"v1": 90, "v2": 10}, [{"v1": 100, "v2": 0}]),
        ({"v1": 90, "v2": 10}, {"v2": 100}, [{"v2": 100, "v1": 0}]),
        ({"v1": 100, "v2": 0}, {"v2": 100}, [{"v2": 100, "v1": 0}]),
        ({"v1": 90, "v2": 10}, {"v1": 10, "v2": 90}, []),
        ({}, {"v1": 100}, []),
    ],
)
def test_backends_join_before_and_leave_after_the_traffic(
    before: Weights, after: Weights, expected: list[Weights]
) -> None:
    assert between(route(before), route(after)) == expected


def test_a_new_route_is_made_at_once() -> None:
    assert list(stages([route({"v1": 100})], {})) == []


def test_what_a_route_has_no_room_for_is_left_out() -> None:
    most = {f"v{number}": 1 for number in range(MAX_BACKENDS)}
    assert between(route(most), route({"new": 100})) == []


def test_a_route_that_others_gave_more_rules_is_put_right_at_once() -> None:
    before, after = route({"v1": 100}), route({"v2": 100})
    before["spec"]["rules"] *= 2
    assert between(before, after) == []


def test_nothing_but_the_backends_differs_in_a_stage() -> None:
    after = route({"v2": 100})
    for stage in stages([after], {ObjectRef.of(after): route({"v1": 100})}):
        assert {**stage, "spec": {}} == {**after, "spec": {}}
        assert stage["spec"]["parentRefs"] == after["spec"]["parentRefs"]
