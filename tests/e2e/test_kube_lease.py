"""One writer of an installation in a cluster: real processes, a real Lease, and what is written in between."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.targets.kubernetes.client import KubeClient, KubeError
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.lease import LeaseLostError, held_lease
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef
from reconciler.targets.ownership import LockHeldError
from tests.support.kubernetes.cluster import Cluster
from tests.support.patience import eventually

NAMESPACE = f"lease-{secrets.token_hex(3)}"
SECONDS = 2.0  # that a Lease lasts here


@pytest.fixture(scope="module")
def kubeconfig(api_server: Cluster) -> Iterator[Path]:
    yield api_server.kubeconfig
    kube = KubeClient(ClusterSettings(api_server.kubeconfig))
    ref = ObjectRef("v1", "Namespace", "", NAMESPACE)
    made = kube.get(ref)
    if made is not None:
        kube.delete(ref, made["metadata"]["uid"])
    kube.close()


@pytest.fixture
def new_client(kubeconfig: Path) -> Iterator[Callable[[], KubeClient]]:
    made: list[KubeClient] = []

    def new() -> KubeClient:
        made.append(KubeClient(ClusterSettings(kubeconfig)))
        return made[-1]

    yield new
    for client in made:
        client.close()


@contextmanager
def another_holder(kubeconfig: Path, installation: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.kubernetes.lease_holder", str(kubeconfig), NAMESPACE, installation]
    with subprocess.Popen([*command, str(SECONDS)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_second_is_told_who_the_first_is(kubeconfig: Path, new_client: Callable[[], KubeClient]) -> None:
    with (
        another_holder(kubeconfig, "second") as process,
        pytest.raises(LockHeldError, match="kubeserve apply") as caught,
        held_lease(new_client(), NAMESPACE, "second", "kubeserve apply", 0.0, seconds=SECONDS),
    ):
        raise AssertionError("two hold it")
    assert f"process {process.pid}" in str(caught.value)


def test_installations_do_not_wait_for_each_other(kubeconfig: Path, new_client: Callable[[], KubeClient]) -> None:
    kube = new_client()
    with another_holder(kubeconfig, "one"), held_lease(kube, NAMESPACE, "other", "kubeserve apply", 0.0) as owner:
        assert owner.token == 1
        leases = [
            ObjectRef("coordination.k8s.io/v1", "Lease", NAMESPACE, f"kubeserve-{name}") for name in ("one", "other")
        ]
        holders = {(kube.get(lease) or {})["spec"]["holderIdentity"] for lease in leases}
        assert len(holders) == 2


def test_a_killed_owners_lease_is_taken_over(kubeconfig: Path, new_client: Callable[[], KubeClient]) -> None:
    with another_holder(kubeconfig, "killed") as process:
        process.kill()
        process.wait()
        with held_lease(new_client(), NAMESPACE, "killed", "kubeserve apply", 10.0, seconds=SECONDS) as owner:
            assert owner.token == 2


def test_a_killed_owner_is_told_from_one_that_runs(kubeconfig: Path, new_client: Callable[[], KubeClient]) -> None:
    with another_holder(kubeconfig, "killed") as process:
        process.kill()
    with (
        pytest.raises(LockHeldError, match="A round has ended") as caught,
        held_lease(new_client(), NAMESPACE, "killed", "kubeserve apply", 0.0, seconds=SECONDS),
    ):
        raise AssertionError("two hold it")
    assert f"process {process.pid}" in str(caught.value)


def test_of_many_who_wait_for_a_dead_owner_one_at_a_time_holds_it(
    kubeconfig: Path, new_client: Callable[[], KubeClient]
) -> None:
    with another_holder(kubeconfig, "crowd") as process:
        process.kill()
    holding, most = [], []

    def take_and_hold(client: KubeClient) -> None:
        with held_lease(client, NAMESPACE, "crowd", "kubeserve apply", 60.0, seconds=SECONDS):
            holding.append(client)
            most.append(len(holding))
            time.sleep(SECONDS)  # longer than all of them look at it
            holding.remove(client)

    threads = [threading.Thread(target=take_and_hold, args=(new_client(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_it_is_renewed_for_as_long_as_it_is_held(new_client: Callable[[], KubeClient]) -> None:
    kube = new_client()
    with held_lease(kube, NAMESPACE, "renewed", "kubeserve apply", 0.0, seconds=SECONDS):
        deadline = time.monotonic() + 2 * SECONDS
        while time.monotonic() < deadline:
            kube.apply(_config_map())
            with (
                pytest.raises(LockHeldError),
                held_lease(new_client(), NAMESPACE, "renewed", "kubeserve plan", 0.0, seconds=SECONDS),
            ):
                raise AssertionError("two hold it")


def test_what_was_released_is_free_at_once_and_the_token_grows(new_client: Callable[[], KubeClient]) -> None:
    tokens = []
    for _ in range(3):
        with held_lease(new_client(), NAMESPACE, "released", "kubeserve apply", 0.0) as owner:
            tokens.append(owner.token)
    assert tokens == [1, 2, 3]


def test_who_lost_it_writes_nothing_more(new_client: Callable[[], KubeClient]) -> None:
    kube, thief = new_client(), new_client()
    ref = ObjectRef("coordination.k8s.io/v1", "Lease", NAMESPACE, "kubeserve-stolen")
    with held_lease(kube, NAMESPACE, "stolen", "kubeserve apply", 0.0, seconds=SECONDS):
        _steal(thief, ref)

        def refused() -> bool:
            try:
                kube.apply(_config_map())
            except LeaseLostError:
                return True
            return False

        eventually(refused)
        requests = dict(kube.requests)
        with pytest.raises(LeaseLostError, match="no longer owns"):
            kube.delete(ref, "")
        assert kube.requests["PATCH"] == requests["PATCH"]
        assert kube.requests.get("DELETE", 0) == 0
    found = thief.get(ref)
    assert found is not None
    assert found["spec"]["holderIdentity"] == "a-thief"


def test_who_only_writes_on_it_does_not_end_the_round(new_client: Callable[[], KubeClient]) -> None:
    kube, other = new_client(), new_client()
    ref = ObjectRef("coordination.k8s.io/v1", "Lease", NAMESPACE, "kubeserve-annotated")
    with held_lease(kube, NAMESPACE, "annotated", "kubeserve apply", 0.0, seconds=SECONDS):
        written = other.apply(_bare(ref, {"example.org/note": "seen"}), manager="somebody")
        time_of_two_renewals = time.monotonic() + SECONDS
        while time.monotonic() < time_of_two_renewals:
            kube.apply(_config_map())
        renewed = other.get(ref)
    assert renewed is not None
    assert renewed["metadata"]["annotations"]["example.org/note"] == "seen"
    assert renewed["spec"]["holderIdentity"] == written["spec"]["holderIdentity"]
    assert renewed["spec"]["renewTime"] > written["spec"]["renewTime"]


def _steal(kube: KubeClient, ref: ObjectRef) -> None:
    """As one whose clock is wrong would."""

    def stolen() -> bool:
        there = kube.get(ref)
        assert there is not None
        try:
            kube.replace({**there, "spec": {**there["spec"], "holderIdentity": "a-thief"}})
        except KubeError:  # it was renewed in between
            return False
        return True

    eventually(stolen)


def _config_map() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "written", "namespace": NAMESPACE}}


def _bare(ref: ObjectRef, annotations: dict[str, str]) -> Object:
    metadata = {"name": ref.name, "namespace": ref.namespace, "annotations": annotations}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}
