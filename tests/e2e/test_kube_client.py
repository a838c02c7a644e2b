"""The client against a real API server: what it sends is applied, and what is refused is said in plain words."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, marks, owner, selector, stamped
from reconciler.targets.protocol import TargetError
from tests.support.kubernetes.cluster import Cluster

NAMESPACE = f"client-{secrets.token_hex(3)}"


@pytest.fixture(scope="module")
def kubeconfig(api_server: Cluster) -> Iterator[Path]:
    client = KubeClient(ClusterSettings(api_server.kubeconfig))
    made = client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield api_server.kubeconfig
    client.delete(ObjectRef.of(made), made["metadata"]["uid"])
    client.close()


@pytest.fixture
def kube(kubeconfig: Path) -> Iterator[KubeClient]:
    client = KubeClient(ClusterSettings(kubeconfig))
    yield client
    client.close()


def config_map(name: str, **data: str) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": marks(NAMESPACE, "fraud", "churn", name)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_an_applied_object_is_listed_as_ours_and_read_back(kube: KubeClient) -> None:
    applied = kube.apply(stamped(config_map("one", a="1")))
    assert str(owner(applied)) == "variant/fraud/one"
    listed = kube.list("v1", "ConfigMap", labels=selector(NAMESPACE, "fraud"))
    assert "one" in {found["metadata"]["name"] for found in listed}
    assert kube.get(ObjectRef.of(applied)) is not None
    assert kube.get(ObjectRef("v1", "ConfigMap", NAMESPACE, "absent")) is None


def test_a_dry_run_changes_nothing(kube: KubeClient) -> None:
    kube.apply(config_map("dry", a="1"))
    answer = kube.apply(config_map("dry", a="2"), dry_run=True)
    assert answer["data"] == {"a": "2"}
    found = kube.get(ObjectRef.of(answer))
    assert found is not None
    assert found["data"] == {"a": "1"}


def test_a_field_that_another_manager_applies_is_a_conflict_that_names_both(kube: KubeClient) -> None:
    kube.apply(config_map("taken", a="2"), manager="somebody-else")
    with pytest.raises(KubeError) as caught:
        kube.apply(config_map("taken", a="1"))
    assert caught.value.conflicts == (("somebody-else", ".data.a", True),)
    assert kube.apply(config_map("taken", a="1"), force=True)["data"] == {"a": "1"}


def test_an_unknown_field_is_refused(kube: KubeClient) -> None:
    with pytest.raises(KubeError, match=r"\.dat: field not declared"):
        kube.apply({**config_map("strict"), "dat": {}})


def test_an_object_that_was_made_again_meanwhile_is_not_deleted(kube: KubeClient) -> None:
    applied = kube.apply(config_map("uid"))
    ref = ObjectRef.of(applied)
    with pytest.raises(KubeError) as caught:
        kube.delete(ref, "00000000-0000-0000-0000-000000000000")
    assert caught.value.reason is Reason.CONFLICT
    assert kube.delete(ref, applied["metadata"]["uid"])
    assert kube.delete(ref, applied["metadata"]["uid"]), "gone is gone"


def test_of_a_service_the_server_answers_itself_when_it_is_gone_and_it_is_gone(kube: KubeClient) -> None:
    metadata = {"name": "gone", "namespace": NAMESPACE}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}
    held = kube.apply({**service, "metadata": {**metadata, "finalizers": ["example.org/held"]}})
    ref, uid = ObjectRef.of(held), held["metadata"]["uid"]
    assert not kube.delete(ref, uid)
    kube.apply(service)  # without the finalizer
    again = kube.apply(service)
    assert kube.delete(ref, again["metadata"]["uid"])
    assert kube.get(ref) is None


def test_what_has_a_finalizer_is_asked_to_go_and_is_not_gone(kube: KubeClient) -> None:
    held = config_map("held")
    held["metadata"]["finalizers"] = ["example.org/held"]
    applied = kube.apply(held)
    ref, uid = ObjectRef.of(applied), applied["metadata"]["uid"]
    assert not kube.delete(ref, uid)
    kube.apply(config_map("held"), force=True)  # without the finalizer
    assert kube.get(ref) is None


def test_long_lists_are_read_page_by_page(kubeconfig: Path) -> None:
    kube = KubeClient(ClusterSettings(kubeconfig), page=2)
    for number in range(5):
        kube.apply(
            {
                **config_map(f"page-{number}"),
                "metadata": {"name": f"page-{number}", "namespace": NAMESPACE, "labels": {"page": "yes"}},
            }
        )
    before = kube.requests["GET"]
    assert len(kube.list("v1", "ConfigMap", labels="page=yes", namespace=NAMESPACE)) == 5
    assert kube.requests["GET"] - before == 3


def test_a_kind_that_the_cluster_does_not_serve_is_known_without_an_error(kube: KubeClient) -> None:
    assert kube.serves("apps/v1", "Deployment")
    assert not kube.serves("example.org/v9", "Nothing")


def test_creating_twice_says_that_it_exists(kube: KubeClient) -> None:
    kube.create(config_map("twice"))
    with pytest.raises(KubeError) as caught:
        kube.create(config_map("twice"))
    assert caught.value.reason is Reason.ALREADY_EXISTS


def test_an_update_of_what_has_moved_on_is_a_conflict(kube: KubeClient) -> None:
    first = kube.apply(config_map("moved", a="1"))
    kube.apply(config_map("moved", a="2"))
    with pytest.raises(KubeError) as caught:
        kube.replace({**first, "data": {"a": "3"}})
    assert caught.value.reason is Reason.CONFLICT


def test_a_kubeconfig_that_is_not_there_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No cluster is configured") as caught:
        KubeClient(ClusterSettings(tmp_path / "absent"))
    assert "--kubeconfig" in caught.value.detail


def test_a_kubeconfig_that_is_no_yaml_is_the_users_to_mend(tmp_path: Path) -> None:
    broken = tmp_path / "kubeconfig"
    broken.write_text("clusters: [{")
    with pytest.raises(TargetError, match="No cluster is configured"):
        KubeClient(ClusterSettings(broken))


def test_a_server_that_does_not_answer_is_an_error_that_a_retry_may_help(tmp_path: Path, kubeconfig: Path) -> None:
    document = yaml.safe_load(kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    dead = tmp_path / "kubeconfig"
    dead.write_text(yaml.safe_dump(document))
    client = KubeClient(ClusterSettings(dead))
    with pytest.raises(KubeError) as caught:
        client.version()
    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.retryable


def test_text_that_yaml_has_no_place_for_arrives_as_it_was(kube: KubeClient) -> None:
    text = "a\x7fb\x85c\u2028d\ufeffe \u00e9"
    assert kube.apply(config_map("text", a=text))["data"] == {"a": text}
