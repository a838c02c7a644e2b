"""A Kubernetes target over a real API server, for end-to-end tests of what it writes there.

`KubeBench` compiles desired graphs from a few words and drives the target's calls the way a round does. Its objects are
those of `Sketch`: a renderer that writes the same kinds as the chart, without needing helm.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from reconciler.model.resources import Desired, DesiredVariant, Kind, Replicas, ResourceId, Scope
from reconciler.plan.model import Plan
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.objects.identity import VARIANT, Object, ObjectRef, marks
from reconciler.targets.kubernetes.objects.rendered import Rendered
from reconciler.targets.kubernetes.target import KubernetesTarget
from reconciler.targets.kubernetes.tenancy.objects import SERVICE_ACCOUNT
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.protocol import LiveResource, LiveRoute, LiveVariant, Prepared, Readiness, ReadinessState
from specs.errors import KubeServeError
from specs.models.platform import Platform
from tests.support.engine.graphs import graph
from tests.support.engine.planning import plan_of
from tests.support.patience import eventually

EVERYTHING = Scope()
NOTHING = Desired({}, {}, {}, {})
IMPATIENT = Timing(pulling=0.5)
"""A pretended pod never tries to pull its image again."""
IMAGE = "registry.example.org/runtime:1"


@dataclass
class Sketch:
    """Renders the kinds of the chart. `change` may alter each object; `images` names a deployment's image; `fails` says
    why nothing can be rendered."""

    platform: Platform
    change: Any = lambda one: one
    images: dict[str, str] = field(default_factory=dict)
    fails: KubeServeError | None = None

    def render(self, desired: Desired, *, monitors: bool = False) -> Mapping[ResourceId, Rendered]:
        del monitors  # the chart's own tests see to them
        found: dict[ResourceId, Rendered] = {}
        for variant in desired.variants.values():
            found[variant.id] = self._sketched(self._variant(variant))
        for deployment in desired.deployments.values():
            names = {variant.name: weight for variant, weight in deployment.weights.items()}
            found[deployment.id] = self._sketched(self._route(deployment.id, names))
        return found

    def _sketched(self, objects: Iterator[Object]) -> Rendered:
        return Rendered(() if self.fails else tuple(self.change(one) for one in objects), self.fails)

    def _object(self, api: str, kind: str, resource: ResourceId, deployment: str, **content: Any) -> Object:
        variant = resource.name if resource.kind is Kind.VARIANT else ""
        metadata = {
            "name": resource.name,
            "namespace": f"{self.platform.kubernetes.namespace_prefix}{resource.tenant}",
            "labels": marks(self.platform.installation, resource.tenant, deployment, variant),
        }
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}

    def _variant(self, variant: DesiredVariant) -> Iterator[Object]:
        make = partial(self._object, resource=variant.id, deployment=variant.deployment.name)
        chosen = {"matchLabels": {VARIANT: variant.name}}
        autoscaled = variant.replicas.min < variant.replicas.max
        spec: Object = {"selector": chosen, "template": self._template(variant)}
        yield make("apps/v1", "Deployment", spec=spec if autoscaled else {"replicas": variant.replicas.min, **spec})
        ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]
        yield make("v1", "Service", spec={"selector": {VARIANT: variant.name}, "ports": ports})
        if autoscaled:
            scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": variant.name}
            target = {"type": "Utilization", "averageUtilization": 70}
            yield make(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                spec={
                    "scaleTargetRef": scaled,
                    "minReplicas": variant.replicas.min,
                    "maxReplicas": variant.replicas.max,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
                },
            )
        if variant.replicas.max > 1:
            yield make("policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 1, "selector": chosen})

    def _template(self, variant: DesiredVariant) -> Object:
        labels = marks(self.platform.installation, variant.id.tenant, variant.deployment.name, variant.name)
        secure = {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        amounts = {"cpu": f"{variant.cpu_millicores}m", "memory": f"{variant.memory_bytes >> 20}Mi"}
        container = {
            "image": self.images.get(variant.deployment.name, IMAGE),
            "securityContext": secure,
            "resources": {"requests": amounts, "limits": amounts},
        }
        env = [{"name": name, "value": str(value)} for name, value in variant.env.items()]
        ports = [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
        spec = {
            "serviceAccountName": SERVICE_ACCOUNT,
            "initContainers": [{"name": "fetch", **container}],
            "containers": [{"name": "server", **container, "env": env, "ports": ports}],
            "volumes": [{"name": "artifacts", "emptyDir": {}}],
        }
        return {"metadata": {"labels": labels}, "spec": spec}

    def _route(self, deployment: ResourceId, weights: Mapping[str, int]) -> Iterator[Object]:
        make = partial(self._object, resource=deployment, deployment=deployment.name)
        best = max(weights, key=lambda name: weights[name])
        ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]
        yield make("v1", "Service", spec={"selector": {VARIANT: best}, "ports": ports})
        kubernetes = self.platform.kubernetes
        path = f"/{deployment.tenant}/{deployment.name}"
        if kubernetes.routing == "gateway":
            backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
            parents = {}
            if kubernetes.gateway:
                namespace, _, name = kubernetes.gateway.partition("/")
                parents = {"parentRefs": [{"name": name, "namespace": namespace}]}
            matches = [{"path": {"type": "PathPrefix", "value": path}}]
            rules = [{"matches": matches, "backendRefs": backends}]
            yield make("gateway.networking.k8s.io/v1", "HTTPRoute", spec={**parents, "rules": rules})
        if kubernetes.routing == "ingress":
            backend = {"service": {"name": deployment.name, "port": {"number": 80}}}
            paths = [{"path": path, "pathType": "Prefix", "backend": backend}]
            yield make("networking.k8s.io/v1", "Ingress", spec={"rules": [{"http": {"paths": paths}}]})


class KubeBench:
    """One installation with a namespace prefix of its own, so that many tests share a cluster."""

    def __init__(self, kubeconfig: Path, installation: str = "", **changes: Any) -> None:
        self.kubeconfig = kubeconfig
        self.mark = secrets.token_hex(3)
        self.platform = platform(installation or f"test-{self.mark}", f"t{self.mark}-", **changes)
        self.kube = KubeClient(ClusterSettings(kubeconfig))
        self.sketch = Sketch(self.platform)
        self.target = self.new_target()
        self._rollout: tuple[KubernetesTarget, Prepared] | None = None

    def new_target(self, timing: Timing = IMPATIENT) -> KubernetesTarget:
        return KubernetesTarget(self.platform, self.kube, self.sketch, timing)

    def graph(self, deployments: Mapping[str, Any], **changes: Any) -> Desired:
        """As `graphs.graph`, with `replicas` as a number or (min, max), small enough for the default quota."""
        replicas = changes.pop("replicas", 1)
        wanted = Replicas(*replicas) if isinstance(replicas, tuple) else Replicas(replicas, replicas)
        desired = graph(deployments, **changes)
        variants = {
            key: replace(v, replicas=wanted, cpu_millicores=100, memory_bytes=64 << 20)
            for key, v in desired.variants.items()
        }
        return replace(desired, variants=variants)

    def namespace(self, tenant: str = "fraud") -> str:
        return f"{self.platform.kubernetes.namespace_prefix}{tenant}"

    def prepare(self, desired: Desired) -> Prepared:
        prepared = self.target.prepare(desired, self.target.observe(EVERYTHING))
        self._rollout = (self.target, prepared)
        return prepared

    def apply(self, desired: Desired, replicas: int | None = None, *, wait: bool = False) -> Prepared:
        """What a round does to a graph. Where nothing runs pods, nothing gets ready, and nothing waits for it."""
        prepared = self.prepare(desired)
        for resource in (*desired.tenants, *desired.variants):
            prepared.ensure(resource, replicas if resource in desired.variants else None)
        if wait:
            self.wait_ready(*desired.variants)
        for deployment in desired.deployments.values():
            prepared.route(deployment.id) if wait else prepared.ensure(deployment.id)
        return prepared

    def changes(self, desired: Desired) -> list[str]:
        """Everything that another round would change."""
        return [
            f"{resource.id}: {change.field} {change.old} -> {change.new}"
            for resource in self.prepare(desired).resources.values()
            for change in resource.changes
        ]

    def readiness(self, variant: ResourceId) -> Readiness:
        return self.rollout.readiness([variant])[variant]

    def wait_ready(self, *variants: ResourceId) -> None:
        for variant in variants:
            eventually(partial(self._is, variant, ReadinessState.READY), f"ready: {variant}")

    def wait_failed(self, variant: ResourceId) -> Readiness:
        eventually(partial(self._is, variant, ReadinessState.FAILED), f"failed: {variant}")
        return self.readiness(variant)

    def _is(self, variant: ResourceId, state: ReadinessState) -> bool:
        return self.readiness(variant).state is state

    def plan(self, desired: Desired) -> Plan:
        live = self.target.observe(EVERYTHING)
        return plan_of(desired, live, self.target.prepare(desired, live))

    @property
    def rollout(self) -> Prepared:
        """Of what was prepared last with this target; else of nothing, which can remove what runs all the same."""
        if self._rollout is None or self._rollout[0] is not self.target:
            self.prepare(NOTHING)
        assert self._rollout is not None
        return self._rollout[1]

    def live(self, resource: ResourceId) -> LiveResource:
        return self.target.observe(EVERYTHING).resources[resource]

    def live_variant(self, variant: ResourceId) -> LiveVariant:
        return self.target.observe(EVERYTHING).variants[variant]

    def live_route(self, deployment: ResourceId) -> LiveRoute:
        return self.target.observe(EVERYTHING).routes[deployment]

    def fingerprints(self) -> dict[ResourceId, str]:
        return {key: found.fingerprint for key, found in self.target.observe(EVERYTHING).resources.items()}

    def get(self, api_version: str, kind: str, name: str, tenant: str = "fraud") -> Object:
        namespace = "" if kind == "Namespace" else self.namespace(tenant)
        found = self.kube.get(ObjectRef(api_version, kind, namespace, name))
        assert found is not None, f"{kind} {namespace}/{name} is not there"
        return found

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What an operator types. Needs kubectl beside the API server's binaries, or on the PATH."""
        command = [kubectl(), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def remove(self, *resources: ResourceId) -> None:
        for resource in resources:
            eventually(partial(self.rollout.remove, resource), f"removed: {resource}")

    def close(self) -> None:
        """Leaves no namespace behind, where there is a controller that empties them."""
        for one in self.kube.list("v1", "Namespace"):
            if one["metadata"]["name"].startswith(self.platform.kubernetes.namespace_prefix):
                self.kube.delete(ObjectRef.of(one), one["metadata"]["uid"])
        self.target.close()


@contextmanager
def kube_bench(kubeconfig: Path, **changes: Any) -> Iterator[KubeBench]:
    bench = KubeBench(kubeconfig, **changes)
    try:
        yield bench
    finally:
        bench.close()


def platform(installation: str, prefix: str, **changes: Any) -> Platform:
    kubernetes = {"namespacePrefix": prefix, "routing": "service", **changes.pop("kubernetes", {})}
    document = {
        "apiVersion": "kubeserve.io/v1",
        "installation": installation,
        "target": "kubernetes",
        "artifactStore": {"type": "s3", "bucket": "models"},
        "runtime": {"image": IMAGE},
        "kubernetes": kubernetes,
        **changes,
    }
    return Platform.model_validate(document)


def kubectl() -> str:
    import os
    import shutil

    beside = Path(os.environ.get("KUBEBUILDER_ASSETS", "")) / "kubectl"
    found = str(beside) if beside.is_file() else shutil.which("kubectl")
    assert found, "kubectl is needed to act as an operator does"
    return found
