"""The contract suite's bench over a cluster whose pods run: the real chart, an S3 server, answers through a Gateway.

For what pretended pods can't do: answer, log, fail by themselves. Pods of all tenants read with one account.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconciler.artifacts.protocol import VersionRef
from reconciler.model.resources import Desired, DesiredVariant, DesiredVersion, ResourceId, SecretRef, version_id
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, selector
from reconciler.targets.kubernetes.objects.kinds import HTTP_ROUTE
from reconciler.targets.kubernetes.rendering import Renderer
from reconciler.targets.kubernetes.target import KubernetesTarget
from specs.models.platform import Platform
from tests.support.kubernetes.bench import platform
from tests.support.kubernetes.contract import KubeContractBench
from tests.support.kubernetes.real_pods import RealPods
from tests.support.local.bench import ANSWER, Bench
from tests.support.runtime.models import write_python_predictor, write_version

PREFIX = "models/"
QUOTA = {"cpu": "2", "memory": "4Gi", "pods": 8}


class RealPodsBench(KubeContractBench):
    """Variants ask for little, so that several fit on a small node."""

    split_error = 17  # of 100 answers by weights of 75 and 25: four standard deviations

    def __init__(self, root: Path, place: RealPods) -> None:
        self.place = place
        self.bucket = place.s3.make_bucket()
        super().__init__(root, place.kubeconfig, home=f"home-{secrets.token_hex(3)}")
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.home}})
        keys = {"AWS_ACCESS_KEY_ID": place.s3.access_key, "AWS_SECRET_ACCESS_KEY": place.s3.secret_key}
        self.kube.apply(_secret(self.home, "store", keys))

    def new_target(self, installation: str = "", *, port: int | None = None) -> Any:
        self.installation = installation or f"contract-{self.prefix}x"
        made = self._platform()
        return KubernetesTarget(made, self.kube, Renderer(made, self.root / "cache"))

    def version(
        self, name: str, body: str | None = None, *, tenant: str = "fraud", requirements: str | None = None
    ) -> DesiredVersion:
        """As a bench of local processes stores it, in the bucket."""
        if (known := self.versions.get(f"{tenant}/{name}")) is not None:
            return known
        source = write_python_predictor(self.root / "sources" / tenant / name, body or ANSWER.format(answer=name))
        folder = self.root / "staged" / tenant / name
        reference = VersionRef(tenant, "churn", name, write_version(folder, source, requirements))
        for file in folder.iterdir():
            key = f"{PREFIX}{reference.folder}/{file.name}"
            self.place.s3.client.put_object(Bucket=self.bucket, Key=key, Body=file.read_bytes())
        version = DesiredVersion(version_id(tenant, "churn", name), "churn", name, reference.digest, None)
        return self.versions.setdefault(f"{tenant}/{name}", version)

    def variant(
        self, version: str = "v1", *, tenant: str = "fraud", name: str = "churn", **changes: Any
    ) -> DesiredVariant:
        small = {"cpu_millicores": 200, "memory_bytes": 256 << 20, "drain_seconds": 1.0}
        return super().variant(version, tenant=tenant, name=name, **{**small, **changes})

    def ask(self, deployment: ResourceId, inputs: Any = ((1.0,),), variant: str | None = None) -> tuple[int, Any]:
        return Bench.ask(self, deployment, inputs, variant)

    def start_without(self, desired: Desired, failing: DesiredVariant) -> str:
        """Nothing of a Secret is known before: the kubelet says what its pod lacks."""
        self.start(desired)
        self.wait_ready(*(variant for variant in desired.variants if variant != failing.id))
        return self.wait_failed(failing).cause

    def secret(self, name: str, key: str, value: str, mode: int = 0o600) -> SecretRef:
        """Of the tenant fraud, which has its namespace then."""
        del mode
        desired = self.desired(self.variant())
        (tenant,) = desired.tenants
        self.prepare(desired).ensure(tenant)
        self.kube.apply(_secret(f"{self.prefix}fraud", name, {key: value}))
        return SecretRef(name, key)

    def clean_up(self) -> Mapping[int, str]:
        """Routes first: the next bench's have the same paths, and a namespace takes its time."""
        for route in self.kube.list(*HTTP_ROUTE, labels=selector(self.installation)):
            self.kube.delete(ObjectRef.of(route), route["metadata"]["uid"])
        home = ObjectRef("v1", "Namespace", "", self.home)
        there = self.kube.get(home)
        assert there is not None
        self.kube.delete(home, there["metadata"]["uid"])
        return super().clean_up()

    def _platform(self) -> Platform:
        store = self.place.store(self.bucket, PREFIX) | {"podAccess": {"secret": f"{self.home}/store"}}
        kubernetes = {"routing": "gateway", "gateway": self.place.gateway, "url": self.place.gateway_url}
        tenants = {tenant: {"quota": QUOTA} for tenant in ("fraud", "risk")}
        return platform(
            self.installation,
            self.prefix,
            artifactStore=store,
            runtime={"image": self.place.image},
            kubernetes={**kubernetes, "namespace": self.home},
            tenants=tenants,
        )


def _secret(namespace: str, name: str, content: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}


@contextmanager
def real_pods_bench(root: Path, place: RealPods) -> Iterator[RealPodsBench]:
    bench = RealPodsBench(root, place)
    try:
        yield bench
    finally:
        bench.clean_up()
