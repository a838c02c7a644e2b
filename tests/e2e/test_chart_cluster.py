"""What the chart makes, given to a real API server: taken as it is, admitted as restricted, read back unchanged."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.resources import Replicas, SecretRef
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.objects.compare import differences
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef
from reconciler.targets.kubernetes.rendering import Renderer
from reconciler.targets.kubernetes.rendering.chart import own_chart
from reconciler.targets.kubernetes.rendering.helm import VARIABLE
from tests.support.engine.graphs import graph
from tests.support.kubernetes.charts import IMAGE, platform
from tests.support.kubernetes.helm import helm

PREFIX = f"chart-{secrets.token_hex(3)}-"
NAMESPACE = f"{PREFIX}fraud"
ROUTINGS = ("gateway: infra/public, host: models.example.org", "routing: ingress", "routing: service")


@pytest.fixture(scope="module")
def kube(kubeconfig: Path) -> Iterator[KubeClient]:
    client = KubeClient(ClusterSettings(kubeconfig))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": NAMESPACE, "labels": labels}
    made = client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    account = {"name": "kubeserve", "namespace": NAMESPACE}
    client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    yield client
    client.delete(ObjectRef.of(made), made["metadata"]["uid"])
    client.close()


@pytest.fixture(params=ROUTINGS, ids=["gateway", "ingress", "service"])
def objects(
    request: pytest.FixtureRequest, kube: KubeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Object, ...]:
    """All that two variants of a deployment consist of: one autoscaled with all there is, one fixed and plain."""
    monkeypatch.setenv(VARIABLE, str(helm()))
    wanted = graph({"fraud/churn": {"v1": 90, "v2": 10}})
    first, second = (replace(variant, runtime=IMAGE) for variant in wanted.variants.values())
    full = replace(
        first,
        replicas=Replicas(2, 6),
        cpu_millicores=2000,
        memory_bytes=1536 << 20,
        env={"TOKEN": SecretRef("hub", "token"), "EMPTY": "", "ODD": "$(x)\n é"},
        checks=({"inputs": [[1.0]], "tolerance": 1e-6},),
        request_seconds=1.5,
        ready_seconds=3600,
    )
    wanted = replace(wanted, variants={full.id: full, second.id: second})
    more = f'kubernetes: {{namespacePrefix: "{PREFIX}", {request.param}}}'
    rendered = Renderer(platform(more), tmp_path).render(wanted, monitors=True)
    made = [one for each in rendered.values() for one in each.objects]
    assert len(made) >= 8
    return tuple(one for one in made if kube.serves(one["apiVersion"], one["kind"]))


def test_every_object_is_taken_as_it_is_and_read_back_unchanged(kube: KubeClient, objects: tuple[Object, ...]) -> None:
    for one in objects:
        assert differences(one, kube.apply(one)) == (), "it is not in the API's canonical form"
    for one in objects:
        assert differences(one, kube.get(ObjectRef.of(one))) == ()


def test_the_pods_are_admitted_under_the_restricted_standard(kube: KubeClient, objects: tuple[Object, ...]) -> None:
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    assert deployments
    for deployment in deployments:
        template = deployment["spec"]["template"]
        metadata = {**template["metadata"], "name": deployment["metadata"]["name"], "namespace": NAMESPACE}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        assert kube.apply(pod, dry_run=True)["metadata"]["name"] == metadata["name"]


@pytest.mark.parametrize("major", [3, 4])
def test_helm_installs_upgrades_and_removes_one_model(
    major: int, kube: KubeClient, kubeconfig: Path, tmp_path: Path
) -> None:
    def run(*arguments: str) -> None:
        command = [str(helm(major)), *arguments, "--namespace", NAMESPACE, "--kubeconfig", str(kubeconfig)]
        subprocess.run(command, env={"HOME": str(tmp_path)}, capture_output=True, timeout=60, check=True)

    chart = own_chart()
    values = ["--values", str(chart / "ci" / "single-values.yaml"), "--set", "routing.kind=service"]
    workload = ObjectRef("apps/v1", "Deployment", NAMESPACE, "scores")
    run("install", "scores", str(chart), *values)
    installed = kube.get(workload)
    run("upgrade", "scores", str(chart), *values, "--set", "model.version=v3")
    upgraded = kube.get(workload)
    run("uninstall", "scores")
    assert installed is not None
    assert upgraded is not None
    assert installed["metadata"]["uid"] == upgraded["metadata"]["uid"]
    assert installed["metadata"]["labels"]["app.kubernetes.io/version"] == "v2"
    assert upgraded["metadata"]["labels"]["app.kubernetes.io/version"] == "v3"
    assert kube.get(workload) is None
