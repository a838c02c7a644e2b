"""A local target over real processes and tiny predictors, for contract and end-to-end tests.

`Bench` puts versions into a folder store, compiles desired graphs from a few words, drives the target's calls
the way a round does, and in the end kills whatever is left of its run directory and says what that was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.artifacts.protocol import VersionRef
from reconciler.model.resources import (
    Desired,
    DesiredDeployment,
    DesiredTenant,
    DesiredVariant,
    DesiredVersion,
    Replicas,
    ResourceId,
    Scope,
    SecretRef,
    deployment_id,
    tenant_id,
    variant_id,
    version_id,
)
from reconciler.plan.model import Plan
from reconciler.targets.local import processes
from reconciler.targets.local.identity import GATEWAY_TOKEN, Origin
from reconciler.targets.local.target import LocalTarget
from reconciler.targets.protocol import LiveResource, LiveRoute, LiveVariant, Prepared, Readiness, ReadinessState
from tests.support.engine.planning import plan_of
from tests.support.patience import PATIENCE_SECONDS, eventually
from tests.support.runtime.models import write_python_predictor, write_version

EVERYTHING = Scope()
NOTHING = Desired({}, {}, {}, {})

ANSWER = """
    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            return [{answer!r} for _ in inputs]
"""


def kill_and_wait(process: psutil.Process) -> None:
    process.kill()
    eventually(lambda: not is_running(process), f"killed: {process}")


def is_running(process: psutil.Process) -> bool:
    """Whether it does anything yet: a zombie doesn't."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def bench_at(root: Path) -> Iterator[Bench]:
    """A bench, and nothing of it left running behind."""
    bench = Bench(root)
    try:
        yield bench
    finally:
        bench.clean_up()


class Bench:
    split_error = 0  # of 100 answers by weights of 75 and 25: how many may be the other's

    def __init__(self, root: Path, installation: str = "default", *, port: int | None = None) -> None:
        self.root = root
        self.run_dir = root / "run"
        self.secrets_dir = root / "secrets"
        self.store = FilesystemStore(root / "store")
        self.target = self.new_target(installation, port=port)
        self.versions: dict[str, DesiredVersion] = {}
        self._rollout: tuple[LocalTarget, Prepared] | None = None

    def new_target(self, installation: str = "default", *, port: int | None = None) -> LocalTarget:
        """Another target over the same folders, as the next command builds it."""
        return LocalTarget(
            self.run_dir,
            installation,
            self.store,
            cache_dir=self.root / "cache",
            secrets_dir=self.secrets_dir,
            port=port,
        )

    def version(
        self, name: str, body: str | None = None, *, tenant: str = "fraud", requirements: str | None = None
    ) -> DesiredVersion:
        """Stores a version of the model `churn`: a predictor that answers the version's name, or `body`."""
        if (known := self.versions.get(f"{tenant}/{name}")) is not None:
            return known
        body = body or ANSWER.format(answer=name)  # quick to start: it imports nothing
        source = write_python_predictor(self.root / "sources" / tenant / name, body)
        staged = self.root / "staged" / tenant / name
        digest = write_version(staged, source, requirements)
        reference = VersionRef(tenant, "churn", name, digest)
        folder = self.root / "store" / reference.folder
        if not folder.exists():  # made by the same bench in another process
            folder.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(folder)
        version = DesiredVersion(version_id(tenant, "churn", name), "churn", name, digest, None)
        return self.versions.setdefault(f"{tenant}/{name}", version)

    def variant(
        self, version: str = "v1", *, tenant: str = "fraud", name: str = "churn", **changes: Any
    ) -> DesiredVariant:
        """A variant of a version; its name is a hash of all but its replicas, as `desired.py` makes it."""
        of = self.version(version, tenant=tenant)
        deployment = deployment_id(tenant, name)
        replicas = changes.pop("replicas", 1)
        draft = DesiredVariant(
            id=variant_id(tenant, name),
            deployment=deployment,
            version=of.id,
            model=of.model,
            version_name=of.version,
            digest=of.digest,
            env={},
            cpu_millicores=500,
            memory_bytes=256 * 2**20,
            checks=(),
            request_seconds=10.0,
            drain_seconds=5.0,
            runtime=self.target.runtime,
            replicas=replicas if isinstance(replicas, Replicas) else Replicas(replicas, replicas),
            ready_seconds=PATIENCE_SECONDS,
        )
        draft = replace(draft, **changes)
        content = repr(replace(draft, replicas=Replicas(1, 1)))
        return replace(draft, id=variant_id(tenant, f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"))

    def desired(self, *variants: DesiredVariant, weights: Iterable[int] = (100,)) -> Desired:
        """The graph of one deployment, or of one per variant when there is one weight only."""
        shares = list(weights)
        tenants = {tenant_id(v.id.tenant): DesiredTenant(tenant_id(v.id.tenant)) for v in variants}
        if len(shares) > 1:
            split = dict(zip((v.id for v in variants), shares, strict=True))
            deployments = {variants[0].deployment: split}
        else:
            deployments = {v.deployment: {v.id: 100} for v in variants}
        versions = {v.version: self.version(v.version_name, tenant=v.id.tenant) for v in variants}
        return Desired(
            tenants,
            versions,
            {d: DesiredDeployment(d, "churn", split) for d, split in deployments.items()},
            {v.id: v for v in variants},
        )

    def prepare(self, desired: Desired) -> Prepared:
        prepared = self.target.prepare(desired, self.target.observe(EVERYTHING))
        self._rollout = (self.target, prepared)
        return prepared

    def start(self, desired: Desired, replicas: int | None = None) -> Prepared:
        """Ensures tenants and variants; waits for nothing."""
        prepared = self.prepare(desired)
        for resource in (*desired.tenants, *desired.variants):
            assert prepared.resources[resource].trouble is None, prepared.resources[resource].trouble
            prepared.ensure(resource, replicas if resource in desired.variants else None)
        return prepared

    def start_without(self, desired: Desired, failing: DesiredVariant) -> str:
        """Starts a graph but for the variant that can't start. Why it can't."""
        prepared = self.prepare(desired)
        for resource in (*desired.tenants, *(variant for variant in desired.variants if variant != failing.id)):
            assert prepared.resources[resource].trouble is None
            prepared.ensure(resource)
        return str(prepared.resources[failing.id].trouble)

    def apply(self, desired: Desired) -> Prepared:
        """What a round does, up to the moved traffic."""
        prepared = self.start(desired)
        self.wait_ready(*desired.variants)
        self.route(desired, prepared)
        return prepared

    def route(self, desired: Desired, prepared: Prepared) -> None:
        for deployment in desired.deployments.values():
            prepared.route(deployment.id)

    def readiness(self, variant: DesiredVariant | ResourceId) -> Readiness:
        resource = variant.id if isinstance(variant, DesiredVariant) else variant
        return self.rollout.readiness([resource])[resource]

    def wait_ready(self, *variants: ResourceId) -> None:
        def all_ready() -> bool:
            found = self.rollout.readiness(variants)
            failed = {v: r for v, r in found.items() if r.state is ReadinessState.FAILED}
            assert not failed, failed
            return all(readiness.state is ReadinessState.READY for readiness in found.values())

        eventually(all_ready, f"ready: {variants}")

    def wait_failed(self, variant: DesiredVariant) -> Readiness:
        eventually(lambda: self.readiness(variant).state is ReadinessState.FAILED, f"failed: {variant.name}")
        return self.readiness(variant)

    def remove(self, *resources: ResourceId) -> None:
        """Asks until nothing is left of each, one after the other."""
        for resource in resources:
            eventually(partial(self.rollout.remove, resource), f"removed: {resource}")

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

    def ask(self, deployment: ResourceId, inputs: Any = ((1.0,),), variant: str | None = None) -> tuple[int, Any]:
        status, body, _ = self.target.predict(deployment, json.dumps({"inputs": inputs}).encode(), variant)
        return status, json.loads(body)

    def secret(self, name: str, key: str, value: str, mode: int = 0o600) -> SecretRef:
        path = self.secrets_dir / name / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
        path.chmod(mode)
        return SecretRef(name, key)

    def replicas(self, variant: DesiredVariant | None = None) -> list[psutil.Process]:
        """The living processes that were started as replicas, of one variant or of all."""
        return [
            psutil.Process(bearer.process.pid)
            for bearer in processes.bearers(self.run_dir)
            if "KUBESERVE_VARIANT" in bearer.environment
            and processes.leads_group(bearer.process)
            and (variant is None or bearer.environment["KUBESERVE_VARIANT"] == variant.name)
        ]

    def lose_a_replica(self, variant: DesiredVariant) -> None:
        """One of them is killed, and gone when this returns."""
        kill_and_wait(self.replicas(variant)[0])

    def gateways(self) -> list[psutil.Process]:
        return [
            psutil.Process(bearer.process.pid)
            for bearer in processes.bearers(self.run_dir)
            if bearer.token == GATEWAY_TOKEN
        ]

    def destroy(self, desired: Desired) -> None:
        """Everything of a graph goes, in the order in which a round takes it away."""
        self.remove(*desired.deployments, *desired.variants, *desired.tenants)

    def clean_up(self) -> Mapping[int, str]:
        """Kills what is left of the run directory. Answers pid -> command line of what it was."""
        left = {bearer.process.pid: bearer for bearer in processes.bearers(self.run_dir)}
        said = {}
        for pid, bearer in left.items():
            with suppress(psutil.NoSuchProcess):  # its parent was killed before it
                said[pid] = " ".join(psutil.Process(pid).cmdline())
            processes.kill(bearer.process, Origin(self.run_dir, bearer.token))
        eventually(lambda: not list(processes.bearers(self.run_dir)))
        processes.reap()
        self.target.close()
        return said
