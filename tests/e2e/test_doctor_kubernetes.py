"""The doctor at a real API server: rights, custom resources, the Gateway, Secrets, and a cluster that is away."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.doctor.cluster import Cluster
from reconciler.doctor.findings import Finding, FindingSeverity
from reconciler.doctor.rights import permissions
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from specs.models.platform import Platform
from tests.support.cli.desk import Desk
from tests.support.kubernetes.bench import KubeBench, platform
from tests.support.kubernetes.cluster import Cluster as Server
from tests.support.kubernetes.cluster import bare_cluster
from tests.support.kubernetes.rights import as_service_account, rights_of
from tests.support.patience import eventually
from tests.support.stores.s3_servers import free_port

GATEWAY_GROUP = "gateway.networking.k8s.io"
MONITORING_GROUP = "monitoring.coreos.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with bare_cluster(tmp_path_factory.mktemp("cluster") / "server") as found:
        yield found


@pytest.fixture
def admin(server: Server) -> Iterator[KubeBench]:
    bench = KubeBench(server.kubeconfig)
    yield bench
    bench.close()


@pytest.fixture
def custom_resources(admin: KubeBench) -> Iterator[None]:
    """Gateway API and ServiceMonitors, as far as the doctor looks at them; on a bare API server alone."""
    names = (("gateways", "Gateway"), ("httproutes", "HTTPRoute"))
    definitions = [_definition(GATEWAY_GROUP, *name) for name in names]
    definitions.append(_definition(MONITORING_GROUP, "servicemonitors", "ServiceMonitor"))
    text = yaml.safe_dump_all(definitions)
    admin.kubectl("apply", "-f", "-", stdin=text)
    admin.kubectl("wait", "--for=condition=Established", "crd", "--all")
    yield
    admin.kubectl("delete", "-f", "-", stdin=text)


def of(server: Server, kubeconfig: Path | None = None, **kubernetes: Any) -> Cluster:
    given: Platform = platform("doctor", f"doctor-{secrets.token_hex(3)}-", kubernetes=kubernetes)
    return Cluster(given, ClusterSettings(kubeconfig or server.kubeconfig))


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_cluster_that_is_reached_says_its_version(server: Server) -> None:
    found = only(of(server).reachable())
    assert found.severity is FindingSeverity.OK
    assert found.summary.startswith("Kubernetes v1.")


def test_an_administrator_needs_no_more_rights(server: Server) -> None:
    assert only(permissions(of(server))).severity is FindingSeverity.OK


def test_the_manifest_gives_every_right_that_is_asked_for(server: Server, admin: KubeBench, tmp_path: Path) -> None:
    home = f"home-{secrets.token_hex(3)}"
    settings: dict[str, Any] = {
        "kubernetes": {"namespace": home, "serviceAccount": f"{home}/kubeserve"},
        "runtime": {"image": "runtime:1", "pullSecret": f"{home}/registry"},
    }
    bench = KubeBench(server.kubeconfig, **settings)
    with rights_of(bench.platform, server.kubeconfig, tmp_path / "limited") as kubeconfig:
        admin.kubectl("create", "secret", "docker-registry", "registry", "-n", home, *_login())
        bench.apply(bench.graph({"fraud/churn": "v1"}))
        limited, unlimited = (Cluster(bench.platform, ClusterSettings(one)) for one in (kubeconfig, server.kubeconfig))
        assert only(permissions(limited)) == only(permissions(unlimited))
        assert only(limited.secrets()).severity is FindingSeverity.OK
        admin.kubectl("delete", "rolebinding", "kubeserve-tenant", "-n", bench.namespace())
        missing = eventually(lambda: _missing(limited), "the loss of rights")
        assert f"get resourcequotas in {bench.namespace()}" in missing.meaning
        assert "kubeserve render --rbac" in missing.remedy
        assert "rbac/kubeserve.yaml" in missing.remedy
        bench.close()


def test_who_may_nothing_is_told_what_to_apply(server: Server, admin: KubeBench, tmp_path: Path) -> None:
    home = f"home-{secrets.token_hex(3)}"
    admin.kubectl("create", "namespace", home)
    admin.kubectl("create", "serviceaccount", "kubeserve", "-n", home)
    kubeconfig = as_service_account(server.kubeconfig, (home, "kubeserve"), tmp_path / "limited")
    found = only(permissions(of(server, kubeconfig)))
    assert found.severity is FindingSeverity.PROBLEM
    assert "get namespaces in all namespaces" in found.meaning
    assert "names no `kubernetes: {serviceAccount: …}`" in found.remedy
    admin.kubectl("delete", "namespace", "--wait=false", home)


def test_gateway_routing_without_its_custom_resources_is_a_problem(server: Server) -> None:
    assert only(of(server, routing="gateway").routing()).severity is FindingSeverity.PROBLEM
    assert only(of(server, routing="ingress").routing()).severity is FindingSeverity.OK
    assert only(of(server, monitoringNamespace="monitoring").monitoring()).severity is FindingSeverity.WARNING
    assert only(of(server).monitoring()).severity is FindingSeverity.OK


@pytest.mark.usefixtures("custom_resources")
def test_routing_and_monitoring_that_the_cluster_can_do_are_good(server: Server) -> None:
    assert only(of(server, routing="gateway").routing()).severity is FindingSeverity.OK
    assert only(of(server, monitoringNamespace="monitoring").monitoring()).severity is FindingSeverity.OK
    assert only(of(server).monitoring()).summary == "Metrics can't be scraped"
    assert only(of(server, routing="gateway").gateway()).summary == "No Gateway is named"


@pytest.mark.usefixtures("custom_resources")
def test_a_gateway_has_to_be_there_programmed_and_open_to_tenants(server: Server, admin: KubeBench) -> None:
    where = of(server, routing="gateway", gateway="default/public")

    def said() -> list[tuple[FindingSeverity, str]]:
        return [(finding.severity, finding.summary) for finding in where.gateway()]

    assert said() == [(FindingSeverity.PROBLEM, "There is no Gateway default/public")]
    _gateway(admin, [{"name": "http", "port": 80, "protocol": "HTTP"}])
    assert said() == [
        (FindingSeverity.PROBLEM, "Gateway default/public is not programmed"),
        (FindingSeverity.PROBLEM, "Gateway default/public accepts no routes of tenants"),
    ]
    _gateway(admin, [{"name": "http", "allowedRoutes": {"namespaces": {"from": "All"}}}])
    conditions = {"status": {"conditions": [{"type": "Programmed", "status": "True"}]}}
    patch = ("patch", "gateway", "public", "-n", "default", "--subresource=status", "--type=merge", "-p")
    admin.kubectl(*patch, json.dumps(conditions))
    assert said() == [(FindingSeverity.OK, "Gateway default/public is programmed")]


def test_a_secret_that_the_platform_names_is_there_or_a_problem(server: Server, admin: KubeBench) -> None:
    name = f"store-{secrets.token_hex(3)}"
    given = platform("doctor", "doctor-", runtime={"image": "runtime:1", "pullSecret": f"default/{name}"})
    where = Cluster(given, ClusterSettings(server.kubeconfig))
    assert only(where.secrets()).summary == f"Secret default/{name} does not exist"
    admin.kubectl("create", "secret", "generic", name, "--from-literal=KEY=well-hidden")
    found = only(where.secrets())
    assert (found.severity, "hidden" in str(found)) == (FindingSeverity.OK, False)
    admin.kubectl("delete", "secret", name)


@pytest.mark.slow
def test_the_command_goes_on_where_the_cluster_is_away(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    away = {"server": f"https://127.0.0.1:{free_port()}"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "away", "cluster": away}],
        "users": [{"name": "me", "user": {"token": "none"}}],
        "contexts": [{"name": "away", "context": {"cluster": "away", "user": "me"}}],
        "current-context": "away",
    }
    kubeconfig = desk.write("kubeconfig", yaml.safe_dump(document))
    desk.write(
        "platform.yaml",
        "apiVersion: kubeserve.io/v1\ntarget: kubernetes\nruntime: {image: 'runtime:1'}\n"
        f"artifactStore: {{type: s3, bucket: models, endpoint: 'http://127.0.0.1:{free_port()}'}}\n",
    )
    arguments = ("doctor", "-o", "json", "--kubeconfig", str(kubeconfig))
    done = desk.run(*arguments, AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none")
    assert done.code == 1
    assert done.data["skipped"] == ["permissions", "routing", "gateway", "monitoring", "secrets"]
    found = {finding["check"]: finding["severity"] for finding in done.data["findings"]}
    assert (found["cluster"], found["artifact store"]) == ("problem", "problem")
    assert (found["git"], found["store access"]) == ("ok", "warning")
    assert "Traceback" not in done.err


def _missing(where: Cluster) -> Finding | None:
    found = only(permissions(where))
    return found if found.severity is FindingSeverity.PROBLEM else None


def _gateway(admin: KubeBench, listeners: list[dict[str, Any]]) -> None:
    spec = {"gatewayClassName": "any", "listeners": listeners}
    metadata = {"name": "public", "namespace": "default"}
    gateway = {"apiVersion": f"{GATEWAY_GROUP}/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}
    admin.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(gateway))


def _definition(group: str, plural: str, kind: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": anything},
        "subresources": {"status": {}},
    }
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    annotations = {"api-approved.kubernetes.io": "unapproved, for tests"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": annotations},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _login() -> tuple[str, ...]:
    return ("--docker-server=registry.example.org", "--docker-username=user", "--docker-password=well-hidden")
