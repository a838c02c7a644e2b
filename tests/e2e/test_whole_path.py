"""The whole path on a node whose pods run: from two tenants' specs and an S3 server to answers through a Gateway.

The tests share one installation and run in the order of their lines; each says all that it wants served, so that it
does as well alone.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.kubernetes.whole_path import Installation, installation
from tests.support.network.load import load_on
from tests.support.patience import PATIENCE_SECONDS, eventually
from tests.support.runtime.predictors import RAISES, TALKS, WORKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

NOTHING: Mapping[str, Any] = MappingProxyType({})
VISIT = "import urllib.request; urllib.request.urlopen('http://{host}/ready', timeout=3)"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("repository")) as made:
        yield made


@pytest.fixture
def serving(ours: Installation) -> Installation:
    """Both tenants serve v1."""
    serve(ours)
    ours.apply()
    return ours


@pytest.fixture
def talking(ours: Installation) -> Installation:
    """Two replicas that say what they are asked."""
    ours.predictor("talks", TALKS)
    serve(ours, more={"talking": {"version": "talks", "replicas": 2}})
    ours.apply()
    return ours


def serve(ours: Installation, version: str = "v1", more: Mapping[str, Any] = NOTHING) -> None:
    ours.spec("fraud", {"churn": {"version": version}, **more})
    ours.spec("search", {"rank": {"version": "v1"}})


def test_apply_provisions_and_the_answers_are_right(ours: Installation) -> None:
    checks = [{"inputs": [[1], [2]], "outputs": ["v2", "v2"]}]
    serve(ours, more={"checked": {"version": "v2", "checks": checks}})
    ours.apply()
    assert [ours.status(*one)["phase"] for one in (("fraud", "churn"), ("search", "rank"))] == ["Ready", "Ready"]
    for tenant in ("fraud", "search"):
        kinds = {one["kind"] for one in ours.objects("resourcequotas,limitranges,networkpolicies,pods", tenant)}
        assert kinds == {"ResourceQuota", "LimitRange", "NetworkPolicy", "Pod"}
    assert [ours.ask("fraud", "churn"), ours.ask("fraud", "checked"), ours.ask("search", "rank")] == ["v1", "v2", "v1"]
    assert "Nothing to do" in ours.run("plan").out


def test_the_stable_service_answers_under_both_paths(serving: Installation) -> None:
    for path in ("fraud/churn/predict", "api/v1/predict/fraud/churn"):
        assert serving.ask_service("fraud", "churn", path) == "v1"


def test_a_version_is_rolled_out_under_load_without_a_failed_request(serving: Installation) -> None:
    with load_on(serving.url("fraud", "churn")) as load:
        eventually(lambda: load.answers, "answers of v1")
        serve(serving, "v2")
        serving.apply()
        eventually(lambda: len(load.answers) == 2, "answers of v2")
    assert load.failures == []
    assert {json.loads(text)["predictions"][0] for text in load.answers} == {"v1", "v2"}
    assert {serving.ask("fraud", "churn") for _ in range(20)} == {"v2"}


def test_traffic_is_split_by_weight(ours: Installation) -> None:
    ours.spec("fraud", {"churn": {"traffic": {"v1": 90, "v2": 10}}})
    ours.spec("search", {"rank": {"version": "v1"}})
    ours.apply()
    answers = [ours.ask("fraud", "churn") for _ in range(400)]
    assert 16 <= answers.count("v2") <= 70  # 40 are to be expected; 4 standard deviations below, 5 above


def test_what_is_broken_stays_degraded_with_its_cause_while_the_old_version_serves(ours: Installation) -> None:
    ours.predictor("raises", RAISES)
    ours.predictor("altered", RAISES.replace("weights", "bytes"))
    names = ("raising", "failing", "altered")
    serve(ours, more={name: {"version": "v2"} for name in names})
    ours.apply()
    ours.alter("fraud", "altered")
    broken = {"raising": {"version": "raises"}, "altered": {"version": "altered"}}
    failing = {"version": "v1", "checks": [{"inputs": [[1]], "outputs": ["v2"]}]}
    serve(ours, more={**broken, "failing": failing})
    ours.apply(code=3)
    causes = {name: ours.cause("fraud", name) for name in names}
    assert "the weights are missing" in causes["raising"]
    assert "check 1 of 1" in causes["failing"]
    assert "bytes are not those that were pinned" in causes["altered"]
    assert [ours.ask("fraud", name) for name in names] == ["v2", "v2", "v2"]
    assert any("the weights are missing" in line for line in ours.status("fraud", "raising")["log"])
    said = ours.run("logs", "--failed", "fraud/raising")
    assert said.code == 0, said
    assert "the weights are missing" in said.out


def test_the_logs_of_all_replicas_are_read_and_followed(talking: Installation) -> None:
    told = talking.run("logs", "fraud/talking", "--lines", "50").out.splitlines()
    pods = {line.partition("]")[0] for line in told}
    assert pods == {f"[{name}" for name in talking.pods("fraud", "talking")}
    assert len([line for line in told if "Ready" in line]) == 2
    assert len(talking.run("logs", "fraud/talking", "--lines", "1").out.splitlines()) == 2
    with talking.following("logs", "fraud/talking", "--lines", "0") as logs, load_on(talking.url("fraud", "talking")):
        asked = (line.partition("]")[0] for line in logs.stdout or () if line.endswith("asked for 1\n"))
        heard: set[str] = set()
        while heard != pods:
            heard.add(next(asked))
        logs.send_signal(signal.SIGINT)
        assert logs.wait(PATIENCE_SECONDS) == 130


def test_following_ends_with_the_last_of_what_is_followed(talking: Installation) -> None:
    with talking.following("logs", "fraud/talking") as logs:
        told = iter(logs.stdout or ())
        assert next(told)
        pods = talking.pods("fraud", "talking")
        talking.kubectl("delete", "pod", *pods, "--wait=false", "-n", talking.namespace("fraud"))
        list(told)
        assert logs.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("reaching", [{"routing": "service"}, {"url": "http://127.0.0.1:9"}])
def test_where_no_route_is_reachable_the_api_server_is_asked_with_the_users_rights(
    serving: Installation, reaching: dict[str, str]
) -> None:
    asker, nobody = serving.somebody("fraud", "create:services/proxy"), serving.somebody("fraud")
    reaches, serving.reaching = serving.reaching, reaching
    serving.write_platform()
    try:
        question = ("predict", "fraud/churn", "-d", "[[1]]")
        answered = serving.run(*question, kubeconfig=asker)
        assert (answered.code, answered.data["predictions"]) == (0, ["v1"])
        refused = serving.run(*question, kubeconfig=nobody)
        assert refused.code == 1
        assert "The deployment can't be reached" in refused.err
        assert "services/proxy" in refused.err
        elsewhere = serving.run("predict", "search/rank", "-d", "[[1]]", kubeconfig=asker)
        assert "The deployment can't be reached" in elsewhere.err
    finally:
        serving.reaching = reaches
        serving.write_platform()


def test_an_image_that_is_missing_leaves_the_old_version_serving(serving: Installation) -> None:
    serving.image = "test.invalid/absent:1"
    serving.write_platform()
    try:
        serving.apply("--only", "search/rank", code=3)
        assert "test.invalid/absent:1" in serving.cause("search", "rank")
        assert serving.ask("search", "rank") == "v1"
    finally:
        serving.image = serving.place.image
        serving.write_platform()


def test_more_than_the_quota_is_an_error_of_the_plan(serving: Installation) -> None:
    serve(serving, more={"more": {"version": "v1", "replicas": 8}})
    plan = serving.run("plan")
    assert plan.code == 1
    assert "Tenant does not fit into its quota" in plan.out
    assert "9 pods of 8" in plan.out


def test_a_pod_reaches_no_service_of_another_tenant(serving: Installation) -> None:
    done = serving.in_pod("fraud", "churn", "python", "-c", VISIT.format(host=serving.host("search", "rank")))
    assert done.returncode != 0
    assert "timed out" in done.stderr  # its name was resolved
    assert serving.ask_service("search", "rank", "search/rank/predict") == "v1"


def test_a_pod_reads_no_version_of_another_tenant(serving: Installation) -> None:
    own = serving.fetch("fraud", "churn", of=("fraud", "churn"))
    assert own.returncode == 0, own.stderr
    others = serving.fetch("fraud", "churn", of=("search", "rank"))
    assert others.returncode == 1
    assert "denied" in others.stderr


def test_what_was_deleted_and_edited_is_drift_and_is_mended_and_others_objects_stay(serving: Installation) -> None:
    namespace, variant = serving.namespace("fraud"), serving.workload("fraud", "churn")["metadata"]["name"]
    serving.kubectl("create", "configmap", "of-others", "-n", namespace)
    before = serving.objects("configmaps", "fraud")
    serving.kubectl("delete", "service", "churn", "-n", namespace)
    serving.kubectl("edit", "deployment", variant, "-n", namespace, KUBE_EDITOR="sed -i 's/cpu: 200m/cpu: 201m/'")
    assert "drift: what runs was changed from outside" in serving.run("plan").out
    serving.apply()
    assert serving.ask("fraud", "churn") == "v1"
    assert "Nothing to do" in serving.run("plan").out
    assert serving.objects("configmaps", "fraud") == before


def test_replicas_follow_the_load_up_and_down(ours: Installation) -> None:
    ours.predictor("works", WORKS)
    ours.spec("fraud", {"churn": {"version": "v1"}})
    ours.spec("search", {"rank": {"version": "works", "replicas": {"min": 1, "max": 2}}})
    ours.apply()
    with load_on(ours.url("search", "rank")) as load:
        eventually(lambda: ours.workload("search", "rank")["status"].get("readyReplicas") == 2, "scaled up")
    assert load.failures == []
    eventually(lambda: ours.workload("search", "rank")["status"]["replicas"] == 1, "scaled down")
    assert "Nothing to do" in ours.run("plan").out


def test_removing_a_tenant_leaves_nothing_of_it(serving: Installation) -> None:
    serving.removed = ("search",)
    serving.write_platform()
    serving.forget("search")
    serving.apply()
    namespaces = ("get", "namespaces", "-o", "name")
    eventually(lambda: serving.namespace("search") not in serving.kubectl(*namespaces), "the end of its namespace")
    assert serving.ask("fraud", "churn") == "v1"
    assert "Nothing to do" in serving.run("plan").out
