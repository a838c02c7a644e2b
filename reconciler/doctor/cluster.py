"""What the Kubernetes target needs: helm, the cluster, its custom resources, the Gateway, the operator's Secrets.

Called by `checks.py`. Reads only; of Secrets no more than their metadata. Rights are asked for by `rights.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reconciler.doctor.findings import Finding, ok, problem, warning
from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef
from reconciler.targets.kubernetes.objects.kinds import GATEWAY, HTTP_ROUTE, MONITOR, SECRET
from reconciler.targets.kubernetes.rendering.helm import find_helm
from reconciler.targets.kubernetes.tenancy.permissions import operator_secrets
from specs.models.cluster import Routing
from specs.models.grants import TenantState
from specs.models.platform import Platform
from specs.names import listing

MIN_CLUSTER = (1, 28)  # as the chart says
HOW_TO_ALLOW = "An administrator allows it: kubeserve render --rbac | kubectl apply -f -"

_VERSION = re.compile(r"v?(\d+)\.(\d+)")


def helm() -> Iterator[Finding]:
    found = find_helm()
    yield ok(f"helm {'.'.join(map(str, found.version))} ({found.path})")


def sharing(platform: Platform) -> Iterator[Finding]:
    """Which tenants share their credentials for the store."""
    store = platform.artifact_store
    if store.pod_url is None:
        return
    active = {name: grant for name, grant in platform.tenants.items() if grant.state is TenantState.ACTIVE}
    without = sorted(name for name, grant in active.items() if grant.store_access is None)
    if platform.tenants and not without:
        yield ok("Every tenant has its own access to the store")
        return
    who = listing(without) if without else "all tenants"
    if store.pod_access is None:
        yield warning(
            "Pods have no access to the store of their own",
            "Without `podAccess` or `storeAccess`, pods fetch with whatever rights the nodes have. That holds "
            f"for {who}.",
            "Give each tenant a `storeAccess` that may read its own prefix alone.",
        )
    else:
        yield warning(
            "Tenants share their access to the store",
            f"With `podAccess`, pods can read what other tenants have in the store. That holds for {who}.",
            "Give each tenant a `storeAccess` that may read its own prefix alone.",
        )


@dataclass
class Cluster:
    """One connection, opened by `reachable` and used by all other checks."""

    platform: Platform
    settings: ClusterSettings

    @cached_property
    def kube(self) -> KubeClient:
        return KubeClient(self.settings)

    def reachable(self) -> Iterator[Finding]:
        version = self.kube.version()
        found = f"Kubernetes {version} in context {self.kube.context}"
        match = _VERSION.match(version)
        if match and (int(match[1]), int(match[2])) < MIN_CLUSTER:
            least = ".".join(map(str, MIN_CLUSTER))
            yield problem(found, f"KubeServe needs Kubernetes {least} or later.", "Upgrade the cluster.")
        else:
            yield ok(found)

    def routing(self) -> Iterator[Finding]:
        routing = self.platform.kubernetes.routing
        if routing is Routing.GATEWAY and not self.kube.serves(*HTTP_ROUTE):
            yield problem(
                "The cluster has no Gateway API",
                "`routing: gateway` needs its HTTPRoute, which this cluster does not serve.",
                "Install the Gateway API's custom resources (https://gateway-api.sigs.k8s.io), or write "
                "`routing: ingress` or `routing: service` in platform.yaml.",
            )
        else:
            yield ok(f"The cluster can do `routing: {routing}`")

    def monitoring(self) -> Iterator[Finding]:
        namespace = self.platform.kubernetes.monitoring_namespace
        served = self.kube.serves(*MONITOR)
        if namespace and not served:
            yield warning(
                "Prometheus does not find the metrics",
                "The cluster does not serve ServiceMonitors, so none are created.",
                "Install the Prometheus operator, or have the pods' port `http` scraped at /metrics.",
            )
        elif served and not namespace:
            yield warning(
                "Metrics can't be scraped",
                "Variants have ServiceMonitors, and the network policies of tenants let no Prometheus in.",
                "Name its namespace: `kubernetes: {monitoringNamespace: …}`.",
            )
        else:
            yield ok("Metrics are scraped by ServiceMonitors" if served else "The cluster serves no ServiceMonitors")

    def gateway(self) -> Iterator[Finding]:
        name = self.platform.kubernetes.gateway
        if name is None:
            yield warning(
                "No Gateway is named",
                "Routes have no parent, so deployments are reachable only inside the cluster, at their Services.",
                "Name one: `kubernetes: {gateway: NAMESPACE/NAME}`.",
            )
            return
        namespace, _, short = name.partition("/")
        found = self.kube.get(ObjectRef(*GATEWAY, namespace, short))
        if found is None:
            yield problem(
                f"There is no Gateway {name}",
                "platform.yaml names it as the parent of all routes.",
                "Create it, or name the right one.",
            )
            return
        yield _programmed(name, found)
        yield from _open_to_tenants(name, found)

    def secrets(self) -> Iterator[Finding]:
        """The Secrets that platform.yaml names exist and may be read; asks only for their metadata."""
        for secret in operator_secrets(self.platform):
            name = f"{secret.namespace}/{secret.name}"
            meaning = "platform.yaml names it, and tenants that need it can't be provisioned without it."
            try:
                found = self.kube.metadata(ObjectRef(*SECRET, secret.namespace, secret.name))
            except KubeError as error:
                if error.reason is not Reason.FORBIDDEN:
                    raise
                yield problem(f"Secret {name} may not be read", meaning, HOW_TO_ALLOW)
                continue
            if found is None:
                yield problem(f"Secret {name} does not exist", meaning, "Create it.")
            else:
                yield ok(f"Secret {name} exists")


def manifest_file() -> Path:
    from importlib.resources import files

    return Path(str(files("templates").joinpath("rbac/kubeserve.yaml")))


def _programmed(name: str, gateway: Object) -> Finding:
    conditions = (gateway.get("status") or {}).get("conditions") or ()
    programmed = next((c for c in conditions if c["type"] == "Programmed"), None)
    if programmed is not None and programmed["status"] == "True":
        return ok(f"Gateway {name} is programmed")
    why = programmed.get("message") if programmed else "No controller has answered"
    return problem(
        f"Gateway {name} is not programmed",
        f"{why or 'Its controller gives no reason'}. Routes with this parent carry no traffic.",
        f"See what its controller says: kubectl describe gateway -n {name.replace('/', ' ')}",
    )


def _open_to_tenants(name: str, gateway: Object) -> Iterator[Finding]:
    listeners: Sequence[JSON] = gateway["spec"].get("listeners") or ()
    routes = [((one.get("allowedRoutes") or {}).get("namespaces") or {}).get("from", "Same") for one in listeners]
    if routes and all(allowed == "Same" for allowed in routes):
        yield problem(
            f"Gateway {name} accepts no routes of tenants",
            "Its listeners allow only routes of its own namespace, and tenants have namespaces of their own.",
            "Allow others in a listener: `allowedRoutes: {namespaces: {from: All}}`, or `from: Selector` with the "
            "label app.kubernetes.io/managed-by: kubeserve.",
        )
