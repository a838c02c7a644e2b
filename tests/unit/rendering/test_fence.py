"""What comes out of a chart is held to what a tenant may have."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from reconciler.model.resources import deployment_id, variant_id
from reconciler.targets.kubernetes.objects.identity import marks
from reconciler.targets.kubernetes.rendering.documents import Document
from reconciler.targets.kubernetes.rendering.errors import FenceError
from reconciler.targets.kubernetes.rendering.fence import MAX_OBJECT_BYTES, MAX_OBJECTS, Expected, fence

NAME = "churn-0a1b2c3d4e"
NAMESPACE = "kubeserve-fraud"
LABELS = marks("prod", "fraud", "churn", NAME)
VARIANT = Expected(variant_id("fraud", NAME), NAMESPACE, LABELS)
ROUTED = Expected(
    deployment_id("fraud", "churn"),
    NAMESPACE,
    marks("prod", "fraud", "churn"),
    frozenset({"/fraud/churn"}),
    "models.example.org",
    "infra/public",
    frozenset({NAME}),
)
OWN = {"kubeserve.io/variant": NAME}

Object = dict[str, Any]
Change = Callable[[Object], Any]


def metadata(name: str, labels: dict[str, str]) -> Object:
    return {"name": name, "namespace": NAMESPACE, "labels": dict(labels)}


def service(name: str = NAME, labels: dict[str, str] = LABELS) -> Object:
    spec = {"type": "ClusterIP", "selector": dict(OWN), "ports": [{"name": "http", "port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, labels), "spec": spec}


def container(name: str) -> Object:
    amounts = {"cpu": "1", "memory": "1Gi"}
    return {
        "name": name,
        "image": "x",
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def workload() -> Object:
    pod = {
        "serviceAccountName": "kubeserve",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [container("fetch")],
        "containers": [container("server")],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    spec = {"selector": {"matchLabels": dict(OWN)}, "template": {"metadata": {"labels": dict(LABELS)}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(NAME, LABELS), "spec": spec}


def monitor() -> Object:
    spec = {"selector": {"matchLabels": dict(OWN)}, "endpoints": [{"port": "http"}]}
    kind = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor"}
    return {**kind, "metadata": metadata(NAME, LABELS), "spec": spec}


def scaler() -> Object:
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}, "maxReplicas": 3}
    kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    return {**kind, "metadata": metadata(NAME, LABELS), "spec": spec}


def route() -> Object:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/fraud/churn"}}],
        "backendRefs": [{"name": NAME, "port": 80, "weight": 100}],
    }
    spec = {
        "parentRefs": [{"name": "public", "namespace": "infra"}],
        "hostnames": ["models.example.org"],
        "rules": [rule],
    }
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    return {**kind, "metadata": metadata("churn", dict(ROUTED.labels)), "spec": spec}


def ingress() -> Object:
    path = {"path": "/fraud/churn", "backend": {"service": {"name": "churn", "port": {"name": "http"}}}}
    spec = {"rules": [{"host": "models.example.org", "http": {"paths": [path]}}]}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    return {**kind, "metadata": metadata("churn", dict(ROUTED.labels)), "spec": spec}


def stable() -> Object:
    return service("churn", dict(ROUTED.labels))


def pod(one: Object) -> Object:
    found: Object = one["spec"]["template"]["spec"]
    return found


def server(one: Object) -> Object:
    found: Object = pod(one)["containers"][0]
    return found


def fetch(one: Object) -> Object:
    found: Object = pod(one)["initContainers"][0]
    return found


def endpoint(one: Object) -> Object:
    found: Object = one["spec"]["endpoints"][0]
    return found


def relabel(one: Object, **rule: str) -> None:
    endpoint(one)["relabelings"] = [rule]


def annotate_pods(one: Object, name: str, value: str) -> None:
    one["spec"]["template"]["metadata"]["annotations"] = {name: value}


def secret_variable(name: str) -> Object:
    return {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": name, "key": "AWS_SECRET_ACCESS_KEY"}}}


def documents(*objects: Object) -> list[Document]:
    return [Document("own/templates/a.yaml", one) for one in objects]


def test_what_is_allowed_passes_as_it_is() -> None:
    variants = [workload(), service(), monitor(), scaler()]
    assert fence(documents(*variants), VARIANT) == tuple(variants)
    routes = [stable(), route(), ingress()]
    assert fence(documents(*routes), ROUTED) == tuple(routes)


@pytest.mark.parametrize(
    ("make", "change", "fault"),
    [
        (workload, lambda o: o.update(kind="DaemonSet"), "has no apps/v1 DaemonSet"),
        (workload, lambda o: o.update(apiVersion="apps/v2"), "has no apps/v2 Deployment"),
        (workload, lambda o: o["metadata"].update(namespace="kube-system"), "namespace must be kubeserve-fraud"),
        (workload, lambda o: o["metadata"].pop("namespace"), "namespace must be kubeserve-fraud, and is None"),
        (workload, lambda o: o["metadata"].update(finalizers=["x/y"]), "may not have finalizers"),
        (workload, lambda o: o["metadata"].update(ownerReferences=[]), "may not have ownerReferences"),
        (workload, lambda o: o["metadata"].update(generateName="x"), "may not have generateName"),
        (workload, lambda o: o["metadata"].update(annotations={"helm.sh/hook": "test"}), "hooks are not run"),
        (workload, lambda o: o["metadata"]["labels"].pop("kubeserve.io/installation"), "must be prod, and is None"),
        (workload, lambda o: o["metadata"]["labels"].update({"kubeserve.io/tenant": "x"}), "must be fraud, and is x"),
        (workload, lambda o: o["metadata"].update(labels=None), "its label"),
        (workload, lambda o: o.update(data={}), "consists of"),
        (workload, lambda o: o.update(spec=[]), "consists of"),
        (workload, lambda o: o["spec"].pop("template"), "does not have the shape"),
        (workload, lambda o: o["metadata"].update(labels=["x"]), "does not have the shape"),
        (workload, lambda o: pod(o).update(containers=None), "does not have the shape"),
        (workload, lambda o: o["spec"]["selector"].update(matchLabels={}), "must select kubeserve.io/variant"),
        (workload, lambda o: o["spec"]["template"]["metadata"].update(labels={}), "of its pods, its label"),
        (workload, lambda o: pod(o).update(hostNetwork=True), "may not have hostNetwork"),
        (workload, lambda o: pod(o).update(hostPID=True), "may not have hostPID"),
        (workload, lambda o: pod(o).update(nodeName="n"), "may not have nodeName"),
        (workload, lambda o: pod(o).update(serviceAccountName="admin"), "service account must be kubeserve"),
        (workload, lambda o: pod(o).update(serviceAccount="admin"), "may not have serviceAccount"),
        (workload, lambda o: pod(o).pop("automountServiceAccountToken"), "automountServiceAccountToken: false"),
        (workload, lambda o: pod(o)["volumes"].append({"name": "h", "hostPath": {}}), "h may not be a hostPath"),
        (workload, lambda o: pod(o)["volumes"].append({"name": "p", "projected": {}}), "p may not be a projected"),
        (
            workload,
            lambda o: pod(o)["securityContext"].update(sysctls=[{}]),
            "the securityContext of its pods may not have sysctls",
        ),
        (workload, lambda o: pod(o)["securityContext"].pop("seccompProfile"), "must have a seccomp profile"),
        (workload, lambda o: pod(o)["securityContext"].update(runAsUser=0), "may not run as user 0"),
        (workload, lambda o: server(o)["securityContext"].update(privileged=True), "may not be privileged"),
        (workload, lambda o: server(o)["securityContext"].update(runAsNonRoot=False), "runAsNonRoot: true"),
        (workload, lambda o: server(o)["securityContext"].pop("capabilities"), "drop ALL capabilities"),
        (workload, lambda o: server(o)["securityContext"].update(procMount="Unmasked"), "may not change procMount"),
        (workload, lambda o: server(o)["securityContext"].pop("readOnlyRootFilesystem"), "readOnlyRootFilesystem"),
        (workload, lambda o: server(o).update(ports=[{"hostPort": 80}]), "may not have a hostPort"),
        (workload, lambda o: server(o)["resources"]["limits"].pop("memory"), "must have limits of cpu and memory"),
        (workload, lambda o: pod(o)["initContainers"][0].pop("resources"), "container fetch must have requests"),
        (workload, lambda o: pod(o).update(ephemeralContainers=[{}]), "may not have ephemeralContainers"),
        (workload, lambda o: o["spec"].update(paused=True), "its spec may not have paused"),
        (service, lambda o: o["spec"].update(type="LoadBalancer"), "type must be ClusterIP"),
        (service, lambda o: o["spec"].update(externalIPs=["1.2.3.4"]), "may not have externalIPs"),
        (service, lambda o: o["spec"].update(selector={"app": "x"}), "must select kubeserve.io/variant"),
        (monitor, lambda o: o["spec"].update(namespaceSelector={"any": True}), "no other namespace"),
        (monitor, lambda o: endpoint(o).update(bearerTokenFile="/t"), "its endpoints may not have bearerTokenFile"),
        (monitor, lambda o: endpoint(o).update(tlsConfig={"caFile": "/c"}), "its endpoints may not have tlsConfig"),
        (monitor, lambda o: relabel(o, targetLabel="__address__"), "may not change what is scraped"),
        (monitor, lambda o: relabel(o, action="labelmap", regex="a(.*)"), "may not change what is scraped"),
        (scaler, lambda o: o["spec"]["scaleTargetRef"].update(name="other"), "must scale the Deployment"),
    ],
)
def test_what_a_variant_may_not_have_is_refused(make: Callable[[], Object], change: Change, fault: str) -> None:
    one = make()
    change(one)
    with pytest.raises(FenceError, match=fault) as raised:
        fence(documents(one), VARIANT)
    assert raised.value.detail.startswith("own/templates/a.yaml: ")
    assert "variant/fraud/churn-0a1b2c3d4e" in raised.value.detail


@pytest.mark.parametrize(
    ("make", "change", "fault"),
    [
        (route, lambda o: o["spec"]["parentRefs"][0].update(name="private"), "not the gateway of platform.yaml"),
        (route, lambda o: o["spec"].update(parentRefs=[{"name": "public"}]), "kubeserve-fraud/public is not"),
        (route, lambda o: o["spec"].update(hostnames=["other.example.org"]), "host must be models.example.org"),
        (route, lambda o: o["spec"]["rules"][0]["matches"][0]["path"].update(value="/"), "path / is not"),
        (route, lambda o: o["spec"]["rules"][0].pop("matches"), "does not have the shape"),
        (route, lambda o: o["spec"]["rules"][0].update(filters=[{}]), "may not have filters"),
        (route, lambda o: o["spec"]["rules"][0]["backendRefs"][0].update(namespace="x"), "own namespace alone"),
        (route, lambda o: o["spec"]["rules"][0]["backendRefs"][0].update(name="other"), "leads to other"),
        (ingress, lambda o: o["spec"].update(defaultBackend={"service": {}}), "its spec may not have defaultBackend"),
        (ingress, lambda o: o["spec"]["rules"][0].pop("host"), "host must be models.example.org, and is None"),
        (ingress, lambda o: o["spec"]["rules"][0]["http"]["paths"][0].update(path="/"), "path / is not"),
        (route, lambda o: o["spec"].update(useDefaultGateways="All"), "its spec may not have useDefaultGateways"),
        (stable, lambda o: o["spec"].update(selector={"kubeserve.io/variant": "risk-1"}), "must select"),
        (stable, lambda o: o["metadata"]["labels"].update(OWN), "may not have the label kubeserve.io/variant"),
        (stable, lambda o: o.update(kind="Secret"), "has no v1 Secret"),
    ],
)
def test_what_a_deployment_may_not_have_is_refused(make: Callable[[], Object], change: Change, fault: str) -> None:
    one = make()
    change(one)
    with pytest.raises(FenceError, match=fault):
        fence(documents(one), ROUTED)


UNCONFINED = {"type": "Unconfined"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda o: pod(o)["securityContext"].update(appArmorProfile=UNCONFINED), "may not have the AppArmor profile"),
        (
            lambda o: server(o)["securityContext"].update(appArmorProfile=UNCONFINED),
            "may not have the AppArmor profile",
        ),
        (
            lambda o: fetch(o)["securityContext"].update(appArmorProfile=UNCONFINED),
            "container fetch may not have the A",
        ),
        (
            lambda o: annotate_pods(o, "container.apparmor.security.beta.kubernetes.io/server", "unconfined"),
            "may not be unconfined",
        ),
        (
            lambda o: annotate_pods(o, "seccomp.security.alpha.kubernetes.io/pod", "unconfined"),
            "may not be unconfined",
        ),
        (lambda o: annotate_pods(o, "k8s.v1.cni.cncf.io/networks", "other"), "may not have the annotation k8s.v1.cni"),
        (lambda o: pod(o)["securityContext"].update(seccompProfile=UNCONFINED), "the seccomp profile Unconfined"),
        (lambda o: server(o)["securityContext"].update(seccompProfile=UNCONFINED), "the seccomp profile Unconfined"),
        (lambda o: server(o)["securityContext"].update(runAsUser=0), "may not run as user 0"),
        (
            lambda o: server(o)["securityContext"].update(windowsOptions={"hostProcess": True}),
            "may not have windowsOptions in its securityContext",
        ),
        (lambda o: pod(o)["securityContext"].update(windowsOptions={"hostProcess": True}), "not have windowsOptions"),
        (lambda o: server(o)["securityContext"].update(seLinuxOptions={"type": "spc_t"}), "not have seLinuxOptions"),
        (lambda o: pod(o).update(shareProcessNamespace=True), "may not have shareProcessNamespace"),
        (lambda o: pod(o).update(hostAliases=[{"ip": "10.0.0.1"}]), "may not have hostAliases"),
        (lambda o: pod(o).update(resourceClaims=[{"name": "gpu"}]), "may not have resourceClaims"),
        (lambda o: pod(o).update(aFieldThatIsNew={"x": 1}), "its pods may not have aFieldThatIsNew"),
        (lambda o: server(o).update(aFieldThatIsNew=True), "container server may not have aFieldThatIsNew"),
        (lambda o: server(o).update(volumeDevices=[{}]), "container server may not have volumeDevices"),
        (lambda o: server(o).update(ports=[{"containerPort": 1, "hostIP": "10.0.0.1"}]), "hostPort or hostIP"),
        (lambda o: server(o)["resources"].update(claims=[{"name": "gpu"}]), "may not claim devices"),
        (lambda o: pod(o).update(priorityClassName="system-node-critical"), "priority class system-node-critical"),
        (lambda o: pod(o)["volumes"].append({"name": "i", "image": {"reference": "x"}}), "i may not be a image"),
        (lambda o: pod(o)["volumes"].append({"name": "c", "csi": {}}), "c may not be a csi"),
    ],
)
def test_what_loosens_the_confinement_of_a_pod_is_refused(change: Change, fault: str) -> None:
    one = workload()
    change(one)
    with pytest.raises(FenceError, match=fault):
        fence(documents(one), VARIANT)


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_a_probe_that_names_a_host_is_refused(probe: str, kind: str) -> None:
    one = workload()
    server(one)[probe] = {kind: {"port": 80}}
    fence(documents(one, service()), VARIANT)
    server(one)[probe][kind]["host"] = "169.254.169.254"
    with pytest.raises(FenceError, match=f"container server may not name a host in its {probe}"):
        fence(documents(one, service()), VARIANT)


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
@pytest.mark.parametrize("hook", ["postStart", "preStop"])
def test_a_lifecycle_hook_that_names_a_host_is_refused(hook: str, kind: str) -> None:
    one = workload()
    fetch(one)["lifecycle"] = {hook: {kind: {"port": 80, "host": "127.0.0.1"}}}
    with pytest.raises(FenceError, match=f"container fetch may not name a host in its {hook}"):
        fence(documents(one, service()), VARIANT)


@pytest.mark.parametrize("secret", ["kubeserve-store", "kubeserve-pull"])
@pytest.mark.parametrize(
    "change",
    [
        lambda o, secret: server(o).update(envFrom=[{"secretRef": {"name": secret}}]),
        lambda o, secret: fetch(o).update(envFrom=[{"prefix": "X_", "secretRef": {"name": secret}}]),
        lambda o, secret: server(o).update(env=[secret_variable(secret)]),
        lambda o, secret: pod(o)["volumes"].append({"name": "s", "secret": {"secretName": secret}}),
        lambda o, secret: pod(o)["volumes"].append({"name": "s", "projected": {"sources": [{"secret": {}}]}}),
        lambda o, secret: fetch(o).update(env=[secret_variable(secret)], restartPolicy="Always"),
    ],
)
def test_credentials_of_the_operator_reach_no_container_that_runs_with_the_model(change: Any, secret: str) -> None:
    one = workload()
    change(one, secret)
    with pytest.raises(FenceError, match=f"the Secret {secret}|may not be a projected"):
        fence(documents(one, service()), VARIANT)


def test_an_init_container_may_read_the_keys_of_the_stores_secret_and_nothing_else_of_the_operator() -> None:
    one = workload()
    fetch(one)["env"] = [secret_variable("kubeserve-store")]
    server(one)["env"] = [secret_variable("hub")]
    server(one)["envFrom"] = [{"secretRef": {"name": "hub"}}, {"configMapRef": {"name": "settings"}}]
    fence(documents(one, service()), VARIANT)
    fetch(one)["env"] = [secret_variable("kubeserve-pull")]
    with pytest.raises(FenceError, match="may not read the Secret kubeserve-pull"):
        fence(documents(one, service()), VARIANT)


def test_fields_that_are_empty_or_false_change_nothing() -> None:
    one = workload()
    pod(one).update(hostNetwork=False, hostAliases=[], resourceClaims=None)
    server(one).update(volumeDevices=[], stdin=False)
    fence(documents(one, service()), VARIANT)


def test_a_workload_of_a_deployment_is_refused() -> None:
    with pytest.raises(FenceError, match="a deployment has no apps/v1 Deployment"):
        fence(documents(workload()), ROUTED)


def test_an_object_too_large_for_an_api_server_is_refused() -> None:
    one = workload()
    server(one)["env"] = [{"name": "X", "value": "x" * MAX_OBJECT_BYTES}]
    with pytest.raises(FenceError, match="at most 1000000 are allowed"):
        fence(documents(one), VARIANT)


def test_more_objects_than_a_variant_needs_are_refused() -> None:
    with pytest.raises(FenceError, match="Too many objects"):
        fence(documents(*(deepcopy(service()) for _ in range(MAX_OBJECTS + 1))), VARIANT)


def test_a_chart_that_makes_no_service_is_refused() -> None:
    with pytest.raises(FenceError, match="made no Service churn-0a1b2c3d4e"):
        fence(documents(workload()), VARIANT)
