"""KubeServe with exactly the rights that its manifest gives, on a real API server: enough for all, and for no more."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.resources import tenant_id
from reconciler.targets.kubernetes.client import KubeError, Reason
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, marks
from reconciler.targets.kubernetes.tenancy.objects import STORE_SECRET, WRITER
from tests.support.kubernetes.bench import KubeBench, platform
from tests.support.kubernetes.cluster import cluster
from tests.support.kubernetes.rights import rights_of

LITERALS = ("--from-literal=AWS_ACCESS_KEY_ID=id", "--from-literal=AWS_SECRET_ACCESS_KEY=hidden")


@dataclass(frozen=True)
class Rights:
    """An administrator, a service account that has what the manifest gives, and the namespace of both's Secrets."""

    admin: KubeBench
    kubeconfig: Path
    home: str
    full: bool  # whether there are controllers, which empty namespaces

    @property
    def settings(self) -> dict[str, Any]:
        """Of platform.yaml."""
        store = {"type": "s3", "bucket": "models", "podAccess": {"secret": f"{self.home}/store"}}
        kubernetes = {"namespace": self.home, "serviceAccount": f"{self.home}/kubeserve", "routing": "ingress"}
        return {"kubernetes": kubernetes, "artifactStore": store}


@pytest.fixture(scope="module")
def rights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rights]:
    folder = tmp_path_factory.mktemp("cluster")
    with cluster(folder / "server") as found:
        admin = KubeBench(found.kubeconfig)
        given = Rights(admin, folder / "limited", f"home-{secrets.token_hex(3)}", full=found.full)
        with rights_of(platform("rights", "rights-", **given.settings), found.kubeconfig, given.kubeconfig):
            for name in ("store", "other"):
                admin.kubectl("create", "secret", "generic", name, "-n", given.home, *LITERALS)
            yield given
        admin.close()


@pytest.fixture
def rig(rights: Rights) -> Iterator[KubeBench]:
    bench = KubeBench(rights.kubeconfig, **rights.settings)
    yield bench
    bench.close()


def test_all_that_the_target_does_is_allowed(rights: Rights, rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1", "risk/score": "v2"}, replicas=(1, 3))
    rig.apply(desired)
    assert rig.changes(desired) == []
    assert rig.rollout.readiness(desired.variants)
    fewer = rig.graph({"fraud/churn": "v3", "risk/score": "v2"}, replicas=2)
    with rig.target.lock("apply", 0):
        rig.apply(fewer)
    assert rig.changes(fewer) == []
    rig.remove(*desired.deployments, *{**desired.variants, **fewer.variants})
    if rights.full:
        rig.remove(*desired.tenants)
    for tenant in desired.tenants:
        rig.rollout.remove(tenant)
        namespace = rig.kube.get(ObjectRef("v1", "Namespace", "", rig.namespace(tenant.tenant)))
        assert namespace is None or namespace["metadata"]["deletionTimestamp"]


def test_what_lets_kubeserve_in_is_made_again_like_everything_else(rights: Rights, rig: KubeBench) -> None:
    desired = rig.graph({"fraud/churn": "v1"})
    rig.apply(desired)
    rights.admin.kubectl("delete", "rolebinding", WRITER, "-n", rig.namespace())
    assert rig.prepare(desired).resources[tenant_id("fraud")].drift
    rig.apply(desired)
    assert rig.changes(desired) == []


def test_no_secret_is_listed_and_none_of_others_is_read(rights: Rights, rig: KubeBench) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1"}))
    elsewhere = rights.admin.namespace("elsewhere")
    rights.admin.kubectl("create", "namespace", elsewhere)
    for namespace, name in ((elsewhere, STORE_SECRET), (rig.namespace(), "a-tenants-own")):
        rights.admin.kubectl("create", "secret", "generic", name, "-n", namespace, *LITERALS)
    for namespace in ("", "kube-system", rights.home, rig.namespace()):
        with pytest.raises(KubeError) as refused:
            rig.kube.list("v1", "Secret", namespace=namespace)
        assert refused.value.reason is Reason.FORBIDDEN
    others = ((elsewhere, STORE_SECRET), (rights.home, "other"), (rig.namespace(), "a-tenants-own"))
    for namespace, name in others:
        ref = ObjectRef("v1", "Secret", namespace, name)
        for reading in (rig.kube.get, rig.kube.metadata):
            with pytest.raises(KubeError) as refused:
                reading(ref)
            assert refused.value.reason is Reason.FORBIDDEN


@pytest.mark.parametrize(
    ("api_version", "kind", "content"),
    [
        ("v1", "Service", {"spec": {"ports": [{"port": 80}]}}),
        ("v1", "Secret", {"stringData": {"KEY": "value"}}),
        ("v1", "ServiceAccount", {}),
        ("v1", "ConfigMap", {"data": {}}),
    ],
)
def test_nothing_is_written_where_no_tenant_is(rig: KubeBench, api_version: str, kind: str, content: Object) -> None:
    one = {"apiVersion": api_version, "kind": kind, "metadata": {"name": STORE_SECRET, "namespace": "default"}}
    with pytest.raises(KubeError) as refused:
        rig.kube.apply({**one, **content})
    assert refused.value.reason is Reason.FORBIDDEN


@pytest.mark.parametrize(
    ("name", "role"), [(WRITER, "cluster-admin"), (WRITER, "system:node-proxier"), ("another", WRITER)]
)
def test_no_other_role_is_bound_and_by_no_other_name(rights: Rights, rig: KubeBench, name: str, role: str) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1"}))
    with pytest.raises(KubeError) as refused:
        rig.kube.apply(_binding(rig.namespace(), rights.home, name, role), force=True)
    assert refused.value.reason is Reason.FORBIDDEN


def test_no_namespace_of_others_is_entered_taken_or_removed(rights: Rights, rig: KubeBench) -> None:
    theirs = rights.admin.namespace("theirs")
    rights.admin.kubectl("create", "namespace", theirs)
    there = rig.kube.get(ObjectRef("v1", "Namespace", "", theirs))
    assert there is not None
    bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{theirs}-too"}}
    marked = {**bare, "metadata": {"name": theirs, "labels": marks(rig.platform.installation, "fraud")}}
    attempts: list[Callable[[], object]] = [
        lambda: rig.kube.apply(_binding(theirs, rights.home)),
        lambda: rig.kube.apply(marked, force=True),
        lambda: rig.kube.apply(bare),
        lambda: rig.kube.delete(ObjectRef.of(there), there["metadata"]["uid"]),
    ]
    for attempt in attempts:
        with pytest.raises(KubeError, match=r"KubeServe .* no namespace but its own"):
            attempt()


def test_nobody_else_is_let_in(rights: Rights, rig: KubeBench) -> None:
    rig.apply(rig.graph({"fraud/churn": "v1"}))
    binding = _binding(rig.namespace(), rights.home)
    binding["subjects"].append({"kind": "ServiceAccount", "name": "default", "namespace": "default"})
    with pytest.raises(KubeError, match="lets in nobody but itself"):
        rig.kube.apply(binding, force=True)


def _binding(namespace: str, home: str, name: str = WRITER, role: str = WRITER) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "kubeserve", "namespace": home}],
    }
