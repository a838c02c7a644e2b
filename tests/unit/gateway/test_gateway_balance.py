"""The laws of choosing: exact splits, the least busy replica, and swaps that lose nobody's count."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reconciler.targets.local.gateway.balance import Balancer, LiveReplica, LiveRoute, LiveVariant
from reconciler.targets.local.gateway.routes import Replica, Route, RouteTable, RouteVariant

KEY = "fraud/churn"
weights = st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any)


def route_of(*variant_weights: int, replicas: int = 1) -> Route:
    variants = tuple(
        RouteVariant(
            f"churn-{n}", f"v{n}", f"sha256:{n}", weight, tuple(Replica("h", 100 * n + r + 1) for r in range(replicas))
        )
        for n, weight in enumerate(variant_weights)
    )
    return Route("fraud", "churn", 30.0, variants)


def balancer_of(*routes: Route) -> Balancer:
    balancer = Balancer()
    balancer.swap(RouteTable(1, routes))
    return balancer


def turns(route: LiveRoute, count: int) -> list[str]:
    return [chosen.name for _ in range(count) if (chosen := route.next())]


def replica_of(balancer: Balancer) -> tuple[LiveVariant, LiveReplica]:
    variant = balancer.routes[KEY].variants[0]
    return variant, variant.replicas[0]


@given(weights, st.integers(0, 100))
def test_every_window_of_a_whole_cycle_has_exactly_the_weights(shares: list[int], start: int) -> None:
    route = balancer_of(route_of(*shares)).routes[KEY]
    turns(route, start)
    counted = Counter(turns(route, sum(shares)))
    assert counted == Counter({f"churn-{n}": share for n, share in enumerate(shares) if share})


@given(weights)
def test_no_prefix_strays_from_the_weights_by_more_than_the_number_of_variants(shares: list[int]) -> None:
    route, total, counted = balancer_of(route_of(*shares)).routes[KEY], sum(shares), Counter[str]()
    for asked, name in enumerate(turns(route, total), start=1):
        counted[name] += 1
        for n, share in enumerate(shares):
            assert abs(counted[f"churn-{n}"] - asked * share / total) < len(shares)


def test_a_small_share_is_spread_and_not_bunched() -> None:
    names = turns(balancer_of(route_of(90, 10)).routes[KEY], 100)
    places = [place for place, name in enumerate(names) if name == "churn-1"]
    assert {later - earlier for earlier, later in pairwise(places)} == {10}


def test_nobody_is_chosen_where_nobody_has_weight() -> None:
    assert balancer_of(route_of(0, 0)).routes[KEY].next() is None
    assert balancer_of(route_of()).routes[KEY].next() is None


@given(weights, st.integers(0, 40))
def test_a_swap_with_the_same_weights_goes_on_where_it_was(shares: list[int], before: int) -> None:
    swapped, untouched = balancer_of(route_of(*shares)), balancer_of(route_of(*shares))
    turns(swapped.routes[KEY], before)
    turns(untouched.routes[KEY], before)
    swapped.swap(RouteTable(2, (route_of(*shares), Route("fraud", "other", 1.0, ()))))
    assert turns(swapped.routes[KEY], 20) == turns(untouched.routes[KEY], 20)


def test_others_are_the_siblings_with_weight_the_heaviest_first() -> None:
    route = balancer_of(route_of(10, 60, 0, 30)).routes[KEY]
    assert [variant.name for variant in route.others(route.variants[3])] == ["churn-1", "churn-0"]


def test_a_version_means_its_heaviest_variant() -> None:
    old = RouteVariant("churn-old", "v1", "d", 0, ())
    new = RouteVariant("churn-new", "v1", "d", 100, ())
    route = balancer_of(Route("fraud", "churn", 1.0, (old, new))).routes[KEY]
    assert [getattr(route.named(name), "name", None) for name in ("v1", "churn-old", "v2")] == [
        "churn-new",
        "churn-old",
        None,
    ]


@given(st.integers(1, 60), st.integers(1, 5))
def test_replicas_never_differ_by_more_than_one_while_requests_only_arrive(requests: int, count: int) -> None:
    balancer = balancer_of(route_of(1, replicas=count))
    variant = balancer.routes[KEY].variants[0]
    for _ in range(requests):
        replica = variant.least_busy(0.0)
        assert replica is not None
        balancer.begin(variant, replica)
        busy = [r.inflight for r in variant.replicas]
        assert max(busy) - min(busy) <= 1


def test_equals_take_turns() -> None:
    variant = balancer_of(route_of(1, replicas=3)).routes[KEY].variants[0]
    asked = [variant.least_busy(0.0) for _ in range(6)]
    assert asked == [*variant.replicas, *variant.replicas]


def test_who_refused_lately_is_asked_last_and_not_never() -> None:
    variant = balancer_of(route_of(1, replicas=2)).routes[KEY].variants[0]
    first, second = variant.replicas
    first.refused_until = 10.0
    assert {variant.least_busy(5.0) for _ in range(4)} == {second}
    assert variant.least_busy(5.0, tried=[second]) is first
    assert variant.least_busy(5.0, tried=[first, second]) is None
    assert {variant.least_busy(10.0) for _ in range(4)} == {first, second}


def test_a_replica_that_stays_keeps_its_count_and_its_connections() -> None:
    balancer = balancer_of(route_of(1))
    variant, replica = replica_of(balancer)
    balancer.begin(variant, replica)
    assert balancer.swap(RouteTable(2, (route_of(5, 5),))) == []
    assert replica_of(balancer) == (variant, replica)
    assert (variant.weight, replica.inflight, replica.retired) == (5, 1, False)


def test_a_variant_that_leaves_is_counted_until_it_is_done() -> None:
    departed: list[LiveVariant] = []
    balancer = Balancer(on_departure=departed.append)
    balancer.swap(RouteTable(1, (route_of(1),)))
    variant, replica = replica_of(balancer)
    balancer.begin(variant, replica)
    assert balancer.swap(RouteTable(2, ())) == [replica]
    assert balancer.inflight() == {"fraud/churn-0": 1}
    assert (variant.retired, replica.retired, departed) == (True, True, [])
    balancer.end(variant, replica)
    assert (balancer.inflight(), departed) == ({}, [variant])


def test_a_variant_that_comes_back_before_it_is_done_goes_on_counting() -> None:
    arrived: list[LiveVariant] = []
    departed: list[LiveVariant] = []
    balancer = Balancer(lambda route, variant: arrived.append(variant), departed.append)
    balancer.swap(RouteTable(1, (route_of(1),)))
    variant, replica = replica_of(balancer)
    balancer.begin(variant, replica)
    balancer.swap(RouteTable(2, ()))
    balancer.swap(RouteTable(3, (route_of(1),)))
    assert replica_of(balancer) == (variant, replica)
    assert not replica.retired
    balancer.end(variant, replica)
    assert (arrived, departed) == ([variant], [])


def test_an_idle_variant_that_leaves_is_gone_at_once() -> None:
    departed: list[LiveVariant] = []
    balancer = Balancer(on_departure=departed.append)
    balancer.swap(RouteTable(1, (route_of(1),)))
    variant, replica = replica_of(balancer)
    assert balancer.swap(RouteTable(2, ())) == [replica]
    assert departed == [variant]
    assert balancer.replicas() == []
