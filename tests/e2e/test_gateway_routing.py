"""Who answers: the split between variants, the choice among replicas, and what belongs to nobody."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from reconciler.targets.local.gateway.routes import Route
from tests.support.gateway.process import RunningGateway, churn, running_gateway, until, variant
from tests.support.gateway.upstreams import Upstream, closed_port, upstream


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def gateway(shared_gateway: RunningGateway) -> RunningGateway:
    shared_gateway.route()
    return shared_gateway


@pytest.fixture
def one() -> Iterator[Upstream]:
    with upstream("one") as server:
        yield server


@pytest.fixture
def two() -> Iterator[Upstream]:
    with upstream("two") as server:
        yield server


def test_the_split_is_exact_over_every_hundred_requests(gateway: RunningGateway, one: Upstream, two: Upstream) -> None:
    old, new = variant("churn-old", one.port, weight=90), variant("churn-new", two.port, weight=10, version="v2")
    gateway.route(churn(old, new))
    for _ in range(2):
        answered = Counter(gateway.ask().headers["x-kubeserve-variant"] for _ in range(100))
        assert answered == {"churn-old": 90, "churn-new": 10}


def test_a_reload_for_another_deployment_does_not_disturb_the_split(
    gateway: RunningGateway, one: Upstream, two: Upstream
) -> None:
    split = churn(variant("churn-old", one.port, weight=3), variant("churn-new", two.port, weight=1))
    answered: Counter[str] = Counter()
    for count in range(8):
        gateway.route(split, Route("fraud", f"other-{count}", 1.0, ()))
        answered[gateway.ask().headers["x-kubeserve-variant"]] += 1
    assert answered == {"churn-old": 6, "churn-new": 2}


def test_the_least_busy_replica_is_asked(gateway: RunningGateway, one: Upstream, two: Upstream) -> None:
    gateway.route(churn(variant("churn-a", one.port, two.port)))
    holders = [threading.Thread(target=gateway.ask, args=("/fraud/churn/held",)) for _ in range(2)]
    for holder in holders:
        holder.start()
    until(lambda: (one.holding, two.holding) == (1, 1), "both replicas hold a request")
    two.release.set()
    until(lambda: two.holding == 0, "the second replica is free")
    until(lambda: gateway.client.inflight("fraud/churn-a") == 1, "the gateway knows it")
    assert {json.loads(gateway.ask().body)["upstream"] for _ in range(4)} == {"two"}
    one.release.set()
    for holder in holders:
        holder.join()


def test_replicas_that_are_equally_busy_take_turns(gateway: RunningGateway, one: Upstream, two: Upstream) -> None:
    gateway.route(churn(variant("churn-a", one.port, two.port)))
    for _ in range(10):
        gateway.ask()
    assert (one.requests, two.requests) == (5, 5)


@pytest.mark.parametrize("wanted", ["churn-new", "v2"])
def test_a_header_asks_for_a_variant_by_name_or_version(
    gateway: RunningGateway, one: Upstream, two: Upstream, wanted: str
) -> None:
    old, new = variant("churn-old", one.port), variant("churn-new", two.port, weight=0, version="v2")
    gateway.route(churn(old, new))
    assert {json.loads(gateway.ask().body)["upstream"] for _ in range(5)} == {"one"}
    reply = gateway.ask(headers={"X-KubeServe-Variant": wanted})
    assert json.loads(reply.body)["upstream"] == "two"
    assert reply.headers["x-kubeserve-variant"] == "churn-new"
    assert reply.headers["x-kubeserve-version"] == "v2"


def test_asking_for_an_unknown_variant_says_which_there_are(gateway: RunningGateway, one: Upstream) -> None:
    gateway.route(churn(variant("churn-old", one.port)))
    reply = gateway.ask(headers={"X-KubeServe-Variant": "v9"})
    assert reply.status == 404
    assert "'v9'" in json.loads(reply.body)["detail"]
    assert "churn-old (version v1)" in json.loads(reply.body)["detail"]


def test_a_deployment_without_a_ready_replica_is_503_and_says_when_to_retry(gateway: RunningGateway) -> None:
    for route in (churn(), churn(variant("churn-a"))):
        gateway.route(route)
        reply = gateway.ask(method="POST", body=b"{}")
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert json.loads(reply.body)["error"] == "No replica is ready"


def test_a_sibling_answers_for_a_variant_that_has_no_replica(gateway: RunningGateway, one: Upstream) -> None:
    gateway.route(churn(variant("churn-old", one.port, weight=50), variant("churn-new", closed_port(), weight=50)))
    assert {gateway.ask(method="POST").headers["x-kubeserve-variant"] for _ in range(6)} == {"churn-old"}


def test_a_variant_that_was_asked_for_by_name_has_no_stand_in(gateway: RunningGateway, one: Upstream) -> None:
    gateway.route(churn(variant("churn-old", one.port), variant("churn-new", closed_port(), version="v2")))
    assert gateway.ask(headers={"X-KubeServe-Variant": "v2"}).status == 503


@pytest.mark.parametrize(
    "path", ["/fraud/chrun/predict", "/fraud", "/fraud/", "/fraud//predict", "/api/v1/predict/fraud"]
)
def test_an_unknown_path_is_404_and_names_no_deployment(gateway: RunningGateway, one: Upstream, path: str) -> None:
    gateway.route(churn(variant("churn-a", one.port)))
    reply = gateway.ask(path)
    assert reply.status == 404
    assert "fraud/churn" not in json.loads(reply.body)["detail"]
    assert one.requests == 0


@pytest.mark.parametrize(
    "path",
    [
        "/fraud/churn",
        "/fraud/churn/predict",
        "/fraud/churn?x=/a/b",
        "/fraud/churn/a/b?x=1&y=%2F",
        "/api/v1/predict/fraud/churn",
        "/api/v1/predict/fraud/churn?x=1",
        "/fraud/churn/../../spam/filter/predict",
        "/fraud/churn/%2e%2e/%2e%2e/spam/filter",
        "/fraud/churn/..%2f..%2fspam",
        "/fraud/churn//double//slash/",
    ],
)
def test_a_path_goes_to_its_own_tenant_byte_for_byte(
    gateway: RunningGateway, one: Upstream, two: Upstream, path: str
) -> None:
    other = Route("spam", "filter", 30.0, (variant("filter-a", two.port),))
    gateway.route(churn(variant("churn-a", one.port)), other)
    assert json.loads(gateway.ask(path).body)["path"] == path
    assert (one.requests, two.requests) == (1, 0)


@pytest.mark.parametrize(
    "path",
    [
        "/fraud/../spam/filter/predict",
        "/%66raud/churn/predict",
        "/fraud%2fchurn/predict",
        "//fraud/churn",
        "/FRAUD/churn",
    ],
)
def test_no_other_spelling_of_a_path_reaches_a_deployment(
    gateway: RunningGateway, one: Upstream, two: Upstream, path: str
) -> None:
    other = Route("spam", "filter", 30.0, (variant("filter-a", two.port),))
    gateway.route(churn(variant("churn-a", one.port)), other)
    assert gateway.ask(path).status == 404
    assert (one.requests, two.requests) == (0, 0)


def test_the_absolute_form_of_a_target_is_understood(gateway: RunningGateway, one: Upstream) -> None:
    gateway.route(churn(variant("churn-a", one.port)))
    start = b"GET http://models.example/fraud/churn/predict?x=1 HTTP/1.1\r\n"
    answer = gateway.speak_and_listen(start + b"Host: models.example\r\nConnection: close\r\n\r\n")
    assert b'"path": "/fraud/churn/predict?x=1"' in answer


def test_the_index_lists_the_deployments_with_their_urls(gateway: RunningGateway, one: Upstream) -> None:
    gateway.route(churn(variant("churn-a", one.port)))
    assert json.loads(gateway.ask("/").body) == {
        "deployments": [
            {
                "tenant": "fraud",
                "deployment": "churn",
                "url": f"http://127.0.0.1:{gateway.port}/fraud/churn",
                "variants": [{"name": "churn-a", "version": "v1", "weight": 100, "replicas": 1}],
            }
        ]
    }


def test_no_host_breaks_the_index(gateway: RunningGateway, one: Upstream) -> None:
    gateway.route(churn(variant("churn-a", one.port)))
    answer = gateway.speak_and_listen(b'GET / HTTP/1.1\r\nHost: \xff"\r\nConnection: close\r\n\r\n')
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["deployments"][0]["url"].endswith("/fraud/churn")


def test_the_gateway_tells_its_own_health(gateway: RunningGateway) -> None:
    generation = gateway.route()
    assert json.loads(gateway.ask("/health").body) == {"status": "ok", "generation": generation}
    assert gateway.ask("/health", "HEAD").body == b""
    assert gateway.ask("/health", "POST").status == 405


def test_metrics_count_by_variant_and_forget_variants_that_are_gone(gateway: RunningGateway, one: Upstream) -> None:
    gateway.route(churn(variant("churn-a", one.port)))
    gateway.ask(method="POST", body=b"{}")
    labels = 'deployment="churn",tenant="fraud",variant="churn-a"'
    counted = gateway.ask("/metrics").body.decode()
    assert f'kubeserve_gateway_requests_total{{code="200",{labels}}} 1.0' in counted
    assert f"kubeserve_gateway_request_seconds_count{{{labels}}} 1.0" in counted
    assert f"kubeserve_gateway_requests_in_flight{{{labels}}} 0.0" in counted
    gateway.route()
    assert "churn" not in gateway.ask("/metrics").body.decode()


def test_unknown_paths_add_no_labels(gateway: RunningGateway) -> None:
    gateway.ask("/nobody/0/predict")
    before = gateway.ask("/metrics").body.decode()
    for number in range(5):
        gateway.ask(f"/nobody/{number}/predict")
    after = gateway.ask("/metrics").body.decode()
    assert 'requests_total{code="404",deployment="",tenant="",variant=""}' in after
    assert "nobody" not in after
    assert len(after.splitlines()) == len(before.splitlines())
