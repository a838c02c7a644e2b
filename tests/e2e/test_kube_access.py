"""The cluster as its users see it: addresses, logs and predictions, and what is said when there is none."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.resources import ResourceId, deployment_id, variant_id
from reconciler.targets.kubernetes.access import ClusterAccess
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.protocol import TargetError
from specs.models.cluster import Routing
from tests.support.kubernetes.bench import KubeBench, kube_bench
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.rights import as_service_account

CHURN = deployment_id("fraud", "churn")
MISSING = "registry.example.org/runtime:missing"
BODY = b'{"inputs": [[1.0]]}'


@contextmanager
def applied(kubeconfig: Path, **kubernetes: Any) -> Iterator[KubeBench]:
    with kube_bench(kubeconfig, kubernetes=kubernetes) as rig:
        rig.apply(rig.graph({"fraud/churn": "v1"}))
        yield rig


@contextmanager
def web_server(status: int) -> Iterator[str]:
    """Answers every POST with its own path and body."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            content = json.dumps({"path": self.path, "body": body.decode()}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_without_a_gateway_the_address_is_the_services_inside_the_cluster(kubeconfig: Path) -> None:
    with applied(kubeconfig) as rig:
        assert rig.target.url(CHURN) == f"http://churn.{rig.namespace()}.svc/fraud/churn"


def test_the_address_is_what_the_operator_tells(kubeconfig: Path) -> None:
    with applied(kubeconfig, url="https://models.example.org/") as rig:
        assert rig.target.url(CHURN) == "https://models.example.org/fraud/churn"
    with applied(kubeconfig, routing="ingress", host="models.example.org") as rig:
        assert rig.target.url(CHURN) == "http://models.example.org/fraud/churn"


@pytest.mark.parametrize(
    ("listener", "host", "address", "url"),
    [
        ({"port": 80, "protocol": "HTTP"}, None, "203.0.113.7", "http://203.0.113.7/fraud/churn"),
        ({"port": 8080, "protocol": "HTTP"}, None, "203.0.113.7", "http://203.0.113.7:8080/fraud/churn"),
        ({"port": 443, "protocol": "HTTPS"}, "m.example.org", "203.0.113.7", "https://m.example.org/fraud/churn"),
        ({"port": 80, "protocol": "HTTP"}, None, "2001:db8::7", "http://[2001:db8::7]/fraud/churn"),
    ],
)
def test_a_gateway_tells_its_address_itself(
    kubeconfig: Path, listener: dict[str, Any], host: str | None, address: str, url: str
) -> None:
    with kube_bench(kubeconfig) as rig:
        if not rig.kube.serves("gateway.networking.k8s.io/v1", "Gateway"):
            pytest.skip("no Gateway API: install its custom resources in the cluster of KUBESERVE_TEST_KUBECONFIG")
        platform = rig.namespace("platform")
        rig.kubectl("create", "namespace", platform)
        spec = {"gatewayClassName": "none", "listeners": [{"name": "web", **_secured(listener)}]}
        gateway = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {}, "spec": spec}
        rig.kube.apply({**gateway, "metadata": {"name": "public", "namespace": platform}})
        status = json.dumps({"status": {"addresses": [{"type": "IPAddress", "value": address}]}})
        rig.kubectl("patch", "gateway", "public", "-n", platform, "--subresource=status", "--type=merge", "-p", status)
        kubernetes = {"routing": Routing.GATEWAY, "gateway": f"{platform}/public", "host": host}
        rig.platform = rig.platform.model_copy(
            update={"kubernetes": rig.platform.kubernetes.model_copy(update=kubernetes)}
        )
        rig.sketch.platform = rig.platform
        rig.target = rig.new_target()
        rig.apply(rig.graph({"fraud/churn": "v1"}))
        assert rig.target.url(CHURN) == url


@pytest.mark.parametrize("status", [200, 422])
def test_a_prediction_goes_through_the_address_and_its_answer_comes_back_as_it_is(
    kubeconfig: Path, status: int
) -> None:
    with web_server(status) as url, applied(kubeconfig, url=url) as rig:
        code, answer, headers = rig.target.predict(CHURN, BODY)
        assert (code, json.loads(answer)) == (status, {"path": "/api/v1/predict/fraud/churn", "body": BODY.decode()})
        assert "Content-Length" in headers


def test_what_neither_the_address_nor_the_api_server_reaches_is_said_in_words(kubeconfig: Path) -> None:
    with kube_bench(kubeconfig, kubernetes={"url": "http://127.0.0.1:9"}) as rig:
        rig.sketch.images["churn"] = MISSING  # nothing gets ready behind its Service
        rig.apply(rig.graph({"fraud/churn": "v1"}))
        with pytest.raises(TargetError, match="The deployment can't be reached"):
            rig.target.predict(CHURN, BODY)
        with pytest.raises(TargetError, match="Nothing of deployment/fraud/other exists in the cluster"):
            rig.target.predict(deployment_id("fraud", "other"), BODY)


def test_where_there_is_no_log_it_is_said(kubeconfig: Path) -> None:
    with applied(kubeconfig) as rig:
        absent: ResourceId = variant_id("fraud", "churn-0000000000")
        with pytest.raises(TargetError, match="No log is there"):
            list(rig.target.logs([absent], lines=5, follow=False))
        with pytest.raises(TargetError, match="No failure is kept"):
            list(rig.target.failed_logs(deployment_id("fraud", "other"), lines=5))


@pytest.mark.parametrize("follow", [False, True])
def test_a_log_that_is_not_the_users_to_read_is_an_error_and_not_empty(
    api_server: Cluster, tmp_path: Path, follow: bool
) -> None:
    api_server.need_pretended_nodes()
    with kube_bench(api_server.kubeconfig) as rig:
        (variant,) = (desired := rig.graph({"fraud/churn": "v1"})).variants
        rig.apply(desired, wait=True)
        namespace = rig.namespace()
        rig.kubectl("create", "serviceaccount", "user", "-n", namespace)
        rig.kubectl("create", "role", "user", "-n", namespace, "--verb=list", "--resource=pods")
        subject = f"--serviceaccount={namespace}:user"
        rig.kubectl("create", "rolebinding", "user", "-n", namespace, "--role=user", subject)
        limited = as_service_account(rig.kubeconfig, (namespace, "user"), tmp_path / "kubeconfig")
        user = KubeClient(ClusterSettings(limited))
        with pytest.raises(TargetError, match="pods/log"):
            list(ClusterAccess(user, rig.platform).logs([variant], lines=5, follow=follow))
        user.close()


def _secured(listener: dict[str, Any]) -> dict[str, Any]:
    if listener["protocol"] != "HTTPS":
        return listener
    return {**listener, "tls": {"certificateRefs": [{"name": "certificate"}]}}
