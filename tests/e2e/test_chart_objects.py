"""What the chart makes: the right objects, valid for every supported Kubernetes, the same under Helm 3 and Helm 4."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import Any

import orjson
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.targets.kubernetes.rendering.chart import own_chart
from reconciler.targets.kubernetes.rendering.documents import parse
from tests.support.kubernetes.charts import assert_valid
from tests.support.kubernetes.helm import helm

CHART = own_chart()
SINGLE = str(CHART / "ci" / "single-values.yaml")
MANY = str(CHART / "ci" / "many-values.yaml")
MONITORS = "monitoring.coreos.com/v1/ServiceMonitor"

Object = dict[str, Any]


@cache
def rendered(*arguments: str, major: int = 4, values: str = SINGLE, more: bytes = b"{}") -> tuple[Object, ...]:
    """What the chart makes of a file of values, and of `more` over it."""
    command = [str(helm(major)), "template", "churn", str(CHART), "--namespace", "fraud", "--values", values]
    command += ["--values", "-", *arguments]
    done = subprocess.run(command, input=more, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return tuple(document.content for document in parse(done.stdout.decode()))


def with_values(**values: Any) -> tuple[Object, ...]:
    return rendered("--skip-tests", more=orjson.dumps(values))


def named(objects: tuple[Object, ...], kind: str) -> list[Object]:
    return [one for one in objects if one["kind"] == kind]


def only(objects: tuple[Object, ...], kind: str) -> Object:
    [one] = named(objects, kind)
    return one


def pod(objects: tuple[Object, ...]) -> Object:
    found: Object = only(objects, "Deployment")["spec"]["template"]["spec"]
    return found


def env(container: Object) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


@pytest.mark.parametrize("values", [SINGLE, MANY], ids=["single", "many"])
def test_helm_3_and_helm_4_make_the_same(values: str) -> None:
    assert rendered(major=3, values=values) == rendered(major=4, values=values)


@pytest.mark.parametrize("values", [SINGLE, MANY], ids=["single", "many"])
def test_every_object_is_valid_for_the_last_four_versions(values: str) -> None:
    for one in rendered("--api-versions", MONITORS, values=values):
        assert_valid(one)


@pytest.mark.parametrize(
    "values",
    [
        {"autoscaling": {"memory": 80}},
        {"replicas": {"min": 4, "max": 4}, "podDisruptionBudget": {"maxUnavailable": "25%"}},
        {"routing": {"kind": "ingress", "ingress": {"className": "nginx", "tls": [{"secretName": "tls"}]}}},
        {"routing": {"kind": "service"}, "topologySpread": []},
        {
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "podLabels": {"e": "f"},
            "podAnnotations": {"g": "h"},
            "nodeSelector": {"i": "j"},
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
            "imagePullSecrets": [{"name": "registry"}],
        },
        {"timeouts": {"request": 0.5, "drain": 1.5, "linger": 0}, "serviceMonitor": {"mode": "always"}},
        {"store": {"prefix": "models/", "endpoint": "http://s3:9000", "region": "eu", "pathStyle": True, "secret": ""}},
        {"fetch": {"resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 1, "memory": "1Gi"}}}},
    ],
)
def test_whatever_is_asked_for_is_valid(values: Object) -> None:
    objects = with_values(**values)
    assert objects
    for each in objects:
        assert_valid(each)


def test_what_one_model_consists_of(snapshot: SnapshotAssertion) -> None:
    made = [f"{one['kind']} {one['metadata']['name']}" for one in rendered("--skip-tests")]
    assert made == snapshot


def test_the_pod_of_a_model(snapshot: SnapshotAssertion) -> None:
    assert pod(rendered("--skip-tests")) == snapshot


def test_one_model_needs_no_second_service() -> None:
    assert only(rendered(), "Service")["spec"]["selector"] == {"kubeserve.io/variant": "churn"}
    [backend] = only(rendered(), "HTTPRoute")["spec"]["rules"][0]["backendRefs"]
    assert (backend["name"], backend["weight"]) == ("churn", 100)


def test_the_release_names_what_values_do_not() -> None:
    command = [str(helm()), "template", "risk", str(CHART), "--namespace", "credit"]
    command += ["--set", "store.bucket=ml-models,model.digest=sha256:" + "0" * 64]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    route = next(d.content for d in parse(done.stdout) if d.content["kind"] == "HTTPRoute")
    assert route["metadata"]["namespace"] == "credit"
    assert route["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/credit/risk"
    assert route["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


def test_many_are_placed_and_marked_each_as_its_own() -> None:
    made = {
        (one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one["metadata"]["labels"]
        for one in rendered("--skip-tests", values=MANY)
    }
    assert made["Deployment", "kubeserve-credit", "risk-2c3d4e5f60"]["kubeserve.io/tenant"] == "credit"
    assert made["Deployment", "kubeserve-fraud", "churn-1b2c3d4e5f"]["kubeserve.io/variant"] == "churn-1b2c3d4e5f"
    assert "kubeserve.io/variant" not in made["Service", "kubeserve-fraud", "churn"]
    assert {labels["kubeserve.io/installation"] for labels in made.values()} == {"prod"}


def test_the_stable_service_follows_the_largest_weight() -> None:
    services = {one["metadata"]["name"]: one for one in named(rendered("--skip-tests", values=MANY), "Service")}
    assert services["churn"]["spec"]["selector"] == {"kubeserve.io/variant": "churn-0a1b2c3d4e"}


def test_a_route_splits_between_services_by_weight() -> None:
    [rule] = only(rendered("--skip-tests", values=MANY), "HTTPRoute")["spec"]["rules"]
    assert [(b["name"], b["weight"]) for b in rule["backendRefs"]] == [
        ("churn-0a1b2c3d4e", 90),
        ("churn-1b2c3d4e5f", 10),
    ]
    assert [match["path"]["value"] for match in rule["matches"]] == ["/fraud/churn", "/api/v1/predict/fraud/churn"]
    assert "filters" not in rule


def test_a_route_waits_longer_than_the_server() -> None:
    [rule] = only(with_values(timeouts={"request": 90.5}), "HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "96s"}


def test_a_route_hangs_on_the_gateway_that_is_named_and_on_none_else() -> None:
    [parent] = only(rendered(), "HTTPRoute")["spec"]["parentRefs"]
    assert (parent["kind"], parent["namespace"], parent["name"]) == ("Gateway", "platform", "public")
    bare = only(with_values(routing={"gateway": {"name": ""}, "host": ""}), "HTTPRoute")
    assert not {"parentRefs", "hostnames"} & set(bare["spec"])


def test_an_ingress_leads_to_the_stable_service() -> None:
    [rule] = only(with_values(routing={"kind": "ingress"}), "Ingress")["spec"]["rules"]
    assert {path["backend"]["service"]["name"] for path in rule["http"]["paths"]} == {"churn"}
    assert [path["path"] for path in rule["http"]["paths"]] == ["/fraud/churn", "/api/v1/predict/fraud/churn"]


def test_service_routing_makes_nothing_more() -> None:
    made = with_values(routing={"kind": "service"})
    assert not named(made, "HTTPRoute") + named(made, "Ingress")


def test_an_autoscaler_owns_the_number_of_pods() -> None:
    made = with_values(replicas={"min": 1, "max": 5})
    assert "replicas" not in only(made, "Deployment")["spec"]
    scaler = only(made, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (1, 5)
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu"]
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_memory_scales_only_when_asked() -> None:
    scaler = only(with_values(autoscaling={"memory": 80}), "HorizontalPodAutoscaler")["spec"]
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu", "memory"]


def test_a_fixed_number_of_pods_needs_no_autoscaler() -> None:
    made = with_values(replicas={"min": 3, "max": 3})
    assert only(made, "Deployment")["spec"]["replicas"] == 3
    assert not named(made, "HorizontalPodAutoscaler")


@pytest.mark.parametrize(("replicas", "budgets"), [((1, 1), 0), ((1, 2), 1), ((3, 3), 1)])
def test_a_disruption_budget_never_holds_the_only_pod(replicas: tuple[int, int], budgets: int) -> None:
    made = named(with_values(replicas={"min": replicas[0], "max": replicas[1]}), "PodDisruptionBudget")
    assert len(made) == budgets
    assert all(one["spec"]["maxUnavailable"] == 1 for one in made)


def test_monitors_need_their_kind_or_somebody_who_asks() -> None:
    assert not named(rendered(), "ServiceMonitor")
    assert named(rendered("--api-versions", MONITORS), "ServiceMonitor")
    assert named(with_values(serviceMonitor={"mode": "always"}), "ServiceMonitor")
    never = rendered("--api-versions", MONITORS, "--set", "serviceMonitor.mode=never")
    assert not named(never, "ServiceMonitor")


def test_metrics_are_scraped_once_a_pod() -> None:
    made = rendered("--skip-tests", values=MANY)
    for monitor in named(made, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        services = [one for one in named(made, "Service") if wanted <= one["metadata"]["labels"].items()]
        assert [one["metadata"]["name"] for one in services] == [monitor["metadata"]["name"]]


def test_every_container_has_requests_and_limits() -> None:
    spec = pod(rendered())
    for container in (*spec["initContainers"], *spec["containers"]):
        for which in ("requests", "limits"):
            assert set(container["resources"][which]) == {"cpu", "memory"}


def test_fetching_needs_no_more_than_serving() -> None:
    [fetch] = pod(rendered())["initContainers"]
    [server] = pod(rendered())["containers"]
    assert fetch["resources"] == server["resources"]


def test_liveness_asks_neither_the_model_nor_the_store() -> None:
    [server] = pod(rendered())["containers"]
    paths = {name: server[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/health", "readiness": "/ready", "liveness": "/health"}


def test_only_the_fetch_has_the_keys_of_the_store() -> None:
    [fetch] = pod(rendered())["initContainers"]
    [server] = pod(rendered())["containers"]
    assert env(fetch)["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "store", "key": "AWS_SECRET_ACCESS_KEY"}}
    assert not any("AWS" in name or "STORE" in name for name in env(server))


def test_without_a_secret_the_fetch_has_no_keys() -> None:
    [fetch] = pod(with_values(store={"secret": ""}))["initContainers"]
    assert not any(name.startswith("AWS") for name in env(fetch))


def test_a_pod_outlives_its_drain() -> None:
    spec = pod(with_values(timeouts={"drain": 59.5, "linger": 3}))
    [server] = spec["containers"]
    assert (env(server)["KUBESERVE_GRACE"], env(server)["KUBESERVE_LINGER"]) == ("59.5", "3")
    assert spec["terminationGracePeriodSeconds"] == 68


def test_dollars_reach_the_server_as_they_were_written() -> None:
    text = "$(HOME) $$ $5 $"
    [server] = pod(with_values(env={"A": text}, checks='[{"inputs": ["$(HOME)"]}]'))["containers"]
    assert expanded(env(server)["A"]) == text
    assert expanded(env(server)["KUBESERVE_CHECKS"]) == '[{"inputs": ["$(HOME)"]}]'


def expanded(value: str) -> str:
    """As Kubernetes expands a variable's value in which it knows no name: a pair of dollars is one."""
    return re.sub(r"\$\$", "$", value)


def test_a_batch_is_the_same_as_lists() -> None:
    import yaml

    listed = yaml.safe_load((CHART / "ci" / "many-values.yaml").read_text())
    lists = {name: listed.pop(name) for name in ("variants", "deployments")}
    command = [str(helm()), "template", "churn", str(CHART), "--namespace", "fraud", "--values", "-"]
    values = {**listed, "batch": orjson.dumps(lists).decode()}
    done = subprocess.run(command, input=orjson.dumps(values), capture_output=True, timeout=60, check=True)
    assert tuple(document.content for document in parse(done.stdout.decode())) == rendered(values=MANY)


def test_the_test_pod_is_as_restricted_as_the_others() -> None:
    test = only(rendered(), "Pod")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    [container] = test["spec"]["containers"]
    assert container["securityContext"] == pod(rendered())["containers"][0]["securityContext"]
    assert set(container["resources"]) == {"requests", "limits"}
