"""The contract suite's bench over a cluster with pretended nodes: real controllers, pods that are Ready at once.

Nothing runs in those pods, so `ask` answers for them: a request goes where the cluster's own EndpointSlices lead it,
and what is found there answers with its version. What takes a real model server is tested with one. Objects are those
of the chart, rendered by helm; where there is no helm, those of `Sketch`.
"""

from __future__ import annotations

import copy
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from reconciler.model.described import variant_fields
from reconciler.model.resources import Desired, DesiredVariant, DesiredVersion, ResourceId, version_id
from reconciler.targets.kubernetes.client import KubeClient, KubeError
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.objects.identity import VARIANT, Object, ObjectRef
from reconciler.targets.kubernetes.objects.record import record_of
from reconciler.targets.kubernetes.objects.rendered import Rendered, Renders
from reconciler.targets.kubernetes.rendering import Renderer
from reconciler.targets.kubernetes.target import KubernetesTarget
from specs.models.platform import Platform
from tests.support.engine.graphs import sha256
from tests.support.kubernetes.bench import IMAGE, Sketch, platform
from tests.support.kubernetes.rights import rights_of
from tests.support.local.bench import Bench
from tests.support.patience import eventually

CRASHING = IMAGE.rpartition(":")[0] + ":crash"


@dataclass
class Crashing:
    """Renders with another renderer; the pods of the versions that are named crash."""

    renderer: Renders
    versions: set[str]

    def render(self, desired: Desired, *, monitors: bool = False) -> Mapping[ResourceId, Rendered]:
        rendered = dict(self.renderer.render(desired, monitors=monitors))
        for variant in desired.variants.values():
            if variant.version_name in self.versions:
                objects = tuple(_crashing(one) for one in rendered[variant.id].objects)
                rendered[variant.id] = replace(rendered[variant.id], objects=objects)
        return rendered


def renderer_of(made: Platform, cache: Path) -> Renders:
    """The product's own, wherever the test found a helm."""
    return Renderer(made, cache) if os.environ.get("KUBESERVE_HELM") else Sketch(made)


def _crashing(one: Object) -> Object:
    if one["kind"] != "Deployment":
        return one
    changed = copy.deepcopy(one)
    for container in changed["spec"]["template"]["spec"]["containers"]:
        container["image"] = CRASHING
    return changed


class KubeContractBench(Bench):
    """As a bench of local processes; what differs is where its pods run and how they are lost."""

    target: Any

    def __init__(self, root: Path, kubeconfig: Path, limited: Path | None = None, home: str = "") -> None:
        self.kube = KubeClient(ClusterSettings(kubeconfig))
        self.acting = KubeClient(ClusterSettings(limited)) if limited else self.kube  # the target's own
        self.home = home
        self.prefix = f"c{secrets.token_hex(3)}-"
        self.crashing: set[str] = set()
        super().__init__(root, f"contract-{self.prefix}x")

    def new_target(self, installation: str = "", *, port: int | None = None) -> Any:
        self.installation = installation or f"contract-{self.prefix}x"
        quota = {"quota": {"cpu": "10", "memory": "16Gi", "pods": 20}}
        kubernetes = {"namespace": self.home, "serviceAccount": f"{self.home}/kubeserve"}
        tenants = {"fraud": quota, "risk": quota}
        made = platform(self.installation, self.prefix, tenants=tenants, kubernetes=kubernetes)
        return KubernetesTarget(made, self.acting, Crashing(renderer_of(made, self.root / "rendered"), self.crashing))

    def version(
        self, name: str, body: str | None = None, *, tenant: str = "fraud", requirements: str | None = None
    ) -> DesiredVersion:
        """Nothing is stored, as nothing is fetched; a version with a body of its own crashes."""
        if body is not None:
            self.crashing.add(name)
        digest = "sha256:" + sha256(f"{tenant}/{name}")
        return DesiredVersion(version_id(tenant, "churn", name), "churn", name, digest, None)

    def ask(self, deployment: ResourceId, inputs: Any = ((1.0,),), variant: str | None = None) -> tuple[int, Any]:
        """What the pod that the Service leads to would answer."""
        del inputs
        namespace, service = f"{self.prefix}{deployment.tenant}", variant or deployment.name
        ready = eventually(partial(self._endpoints, namespace, service), f"endpoints of {namespace}/{service}")
        pod = self.kube.get(ObjectRef("v1", "Pod", namespace, ready[0]))
        assert pod is not None
        running = self.kube.get(ObjectRef("apps/v1", "Deployment", namespace, pod["metadata"]["labels"][VARIANT]))
        assert running is not None
        return 200, {"predictions": [record_of(running).version]}

    def lose_a_replica(self, variant: DesiredVariant) -> None:
        """Somebody scales it down by one; it is so when this returns."""
        count = int(variant_fields(variant)["replicas"]) - 1
        ref = ObjectRef("apps/v1", "Deployment", f"{self.prefix}{variant.id.tenant}", variant.name)

        def scaled() -> bool:
            found = self.kube.get(ref)
            assert found is not None
            try:
                self.kube.replace({**found, "spec": {**found["spec"], "replicas": count}})
            except KubeError:  # its status was written in between
                return False
            return True

        eventually(scaled)
        eventually(lambda: self.live_variant(variant.id).running == count, f"one replica less: {variant.name}")

    def clean_up(self) -> Mapping[int, str]:
        for one in self.kube.list("v1", "Namespace"):
            if one["metadata"]["name"].startswith(self.prefix):
                self.kube.delete(ObjectRef.of(one), one["metadata"]["uid"])
        self.acting.close()
        self.kube.close()
        return {}

    def _endpoints(self, namespace: str, service: str) -> list[str]:
        """Names of the pods that a Service sends requests to, once the slices have followed the Service's selector."""
        found = self.kube.get(ObjectRef("v1", "Service", namespace, service))
        assert found is not None, f"Service {namespace}/{service} is not there"
        chosen = found["spec"]["selector"][VARIANT]
        slices = self.kube.list(
            "discovery.k8s.io/v1", "EndpointSlice", labels=f"kubernetes.io/service-name={service}", namespace=namespace
        )
        ends = [end for one in slices for end in one.get("endpoints") or ()]
        ready = [end["targetRef"]["name"] for end in ends if end["conditions"].get("ready")]
        return ready if ready and all(name.startswith(f"{chosen}-") for name in ready) else []


@dataclass(frozen=True)
class ContractGround:
    """A cluster as its administrator sees it, and KubeServe with the rights of its manifest alone."""

    kubeconfig: Path
    limited: Path
    home: str


@contextmanager
def contract_ground(folder: Path, kubeconfig: Path) -> Iterator[ContractGround]:
    home = f"contract-{secrets.token_hex(3)}"
    given = platform("contract", "contract-", kubernetes={"namespace": home})
    with rights_of(given, kubeconfig, folder / "limited") as limited:
        yield ContractGround(kubeconfig, limited, home)


@contextmanager
def kube_contract_bench(root: Path, ground: ContractGround) -> Iterator[KubeContractBench]:
    bench = KubeContractBench(root, ground.kubeconfig, ground.limited, ground.home)
    try:
        yield bench
    finally:
        bench.clean_up()
