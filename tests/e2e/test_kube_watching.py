"""What a watch knows of a real API server, also when the network between them fails."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from reconciler.model.resources import JSON, ResourceId, deployment_id, variant_id
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, marks, selector
from reconciler.targets.kubernetes.readiness import watcher
from reconciler.targets.kubernetes.readiness.informer import Informer, version_of
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.protocol import ReadinessState, TargetError
from tests.support.kubernetes.bench import EVERYTHING, KubeBench, kube_bench
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.scripted_api import ScriptedApi, config_map, event, failure, listing, scripted_api
from tests.support.network.relay import Relay, relay
from tests.support.patience import eventually

CONFIG_MAP = ("v1", "ConfigMap")


@pytest.fixture
def pretended(kubeconfig: Path) -> Iterator[KubeBench]:
    Cluster(kubeconfig, full=bool(os.environ.get("KUBESERVE_TEST_KUBECONFIG"))).need_pretended_nodes()
    quota = {"cpu": "10", "memory": "10Gi", "pods": 20}
    with kube_bench(kubeconfig, tenants={"fraud": {"quota": quota}}) as bench:
        yield bench


@dataclass
class Room:
    """Objects of variants in the namespace `default`, written by one client and watched by another through a relay."""

    kube: KubeClient
    relay: Relay
    informer: Informer
    installation: str
    changed: list[ResourceId] = field(default_factory=list)

    def write(self, name: str, **data: str) -> Object:
        metadata = {
            "name": f"{self.installation}-{name}",
            "namespace": "default",
            "labels": marks(self.installation, "fraud", "churn", name),
        }
        return self.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def remove(self, one: Object) -> None:
        self.kube.delete(ObjectRef.of(one), one["metadata"]["uid"])

    def versions(self, name: str) -> list[str]:
        return [one["metadata"]["resourceVersion"] for one in self.informer.of(variant(name))]

    def knows(self, one: Object) -> Callable[[], bool]:
        name = one["metadata"]["name"].removeprefix(f"{self.installation}-")
        return lambda: self.versions(name) == [one["metadata"]["resourceVersion"]]


def variant(name: str) -> ResourceId:
    return variant_id("fraud", name)


@pytest.fixture
def room(kubeconfig: Path, tmp_path: Path) -> Iterator[Room]:
    document = yaml.safe_load(kubeconfig.read_text())
    (named,) = document["clusters"]
    address = urlsplit(named["cluster"]["server"])
    with relay((str(address.hostname), int(address.port or 443))) as through:
        named["cluster"]["server"] = f"https://127.0.0.1:{through.port}"
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
        kube, through_relay = (
            KubeClient(ClusterSettings(kubeconfig)),
            KubeClient(ClusterSettings(tmp_path / "kubeconfig")),
        )
        mark = f"w{secrets.token_hex(3)}"
        changed: list[ResourceId] = []
        informer = Informer(through_relay, CONFIG_MAP, selector(mark), changed.append, Timing(longest_pause=0.1))
        room = Room(kube, through, informer, mark, changed)
        yield room
        informer.end()
        for one in kube.list(*CONFIG_MAP, labels=selector(mark)):
            room.remove(one)
        through_relay.close()
        kube.close()


def test_what_was_there_before_and_what_comes_and_goes_is_known_by_whose_it_is(room: Room) -> None:
    before = room.write("a", size="1")
    room.informer.start()
    room.informer.check()
    assert room.knows(before)()
    changed, other = room.write("a", size="2"), room.write("b")
    eventually(room.knows(changed), "the change")
    eventually(room.knows(other), "the other")
    room.remove(other)
    eventually(lambda: room.versions("b") == [], "its removal")
    assert set(room.changed) == {variant("a"), variant("b")}


def test_what_happened_while_the_network_was_away_is_known_after_it(room: Room) -> None:
    goes, stays = room.write("goes"), room.write("stays")
    room.informer.start()
    room.informer.check()
    room.relay.refuses = True
    room.relay.cut()
    room.remove(goes)
    comes = room.write("comes")
    eventually(lambda: _error(room.informer) is Reason.UNREACHABLE, "who asks is told")
    room.relay.refuses = False
    eventually(room.knows(comes), "what came meanwhile")
    room.informer.check()
    assert room.versions("goes") == []
    assert room.knows(stays)()


def _error(informer: Informer) -> Reason | None:
    try:
        informer.check()
    except KubeError as error:
        return error.reason
    return None


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ScriptedApi]:
    with scripted_api(tmp_path) as api:
        yield api


@pytest.fixture
def pauses() -> Timing:
    """How long an informer pauses; tests override it by parameters."""
    return Timing()


@pytest.fixture
def scripted(api: ScriptedApi, pauses: Timing) -> Iterator[Informer]:
    """An informer of that server; not started yet."""
    kube = KubeClient(ClusterSettings(api.kubeconfig), watch_seconds=3600)  # a watch ends because the test ends it
    informer = Informer(kube, CONFIG_MAP, "", lambda _: None, pauses)
    yield informer
    informer.end()
    eventually(_no_thread, "its thread ends")
    kube.close()


def _no_thread() -> bool:
    return "watch-ConfigMap" not in {thread.name for thread in threading.enumerate()}


def _known(informer: Informer, name: str) -> list[int]:
    return [version_of(one) for one in informer.of(variant(name))]


def test_what_is_written_during_the_first_listing_is_not_forgotten(api: ScriptedApi, scripted: Informer) -> None:
    asked, go = threading.Event(), threading.Event()

    def slow() -> tuple[int, JSON]:
        asked.set()
        go.wait()
        return 200, listing(100)

    api.lists = slow
    scripted.start()
    asked.wait()
    scripted.expect(config_map("a", 101))
    go.set()
    scripted.check()
    assert _known(scripted, "a") == [101]


@pytest.mark.parametrize("news", ["MODIFIED", "DELETED"])
def test_older_news_does_not_undo_what_was_just_written(api: ScriptedApi, scripted: Informer, news: str) -> None:
    go = threading.Event()

    def watched() -> Iterator[JSON]:
        go.wait()
        yield event(news, config_map("a", 100))
        yield event("ADDED", config_map("b", 102))

    api.lists, api.watches = (lambda: (200, listing(99, config_map("a", 99)))), watched
    scripted.start()
    scripted.check()
    scripted.expect(config_map("a", 101))
    go.set()
    eventually(lambda: _known(scripted, "b"), "the last of the news")
    assert _known(scripted, "a") == [101]


@pytest.mark.parametrize("pauses", [Timing(first_pause=0.01)])
def test_a_watch_that_is_too_old_is_begun_from_a_new_listing(api: ScriptedApi, scripted: Informer) -> None:
    api.lists = lambda: (200, listing(api.listed, config_map("a", api.listed)))
    api.watches = lambda: iter([event("ERROR", failure(410, "Expired"))] if api.listed < 3 else [])
    scripted.start()
    eventually(lambda: _known(scripted, "a") == [3], "listed three times")
    scripted.check()


def test_a_listing_that_expires_is_not_an_empty_cluster(api: ScriptedApi, scripted: Informer) -> None:
    api.lists = lambda: (410, failure(410, "Expired"))
    scripted.start()
    with pytest.raises(KubeError, match="Expired"):
        scripted.check()


@pytest.mark.parametrize("pauses", [Timing(first_pause=3600.0)])
def test_a_watch_that_ends_at_once_is_not_begun_in_a_hot_loop(api: ScriptedApi, scripted: Informer) -> None:
    api.stays_open = False
    scripted.start()
    scripted.check()
    eventually(lambda: api.watched, "the first watch")
    scripted.end()
    eventually(_no_thread, "its thread ends")
    assert (api.listed, api.watched) == (1, 1)


@pytest.mark.parametrize("pauses", [Timing(first_pause=3600.0)])
def test_where_watching_is_refused_the_listing_is_what_is_known(api: ScriptedApi, scripted: Informer) -> None:
    api.refuses_watches = 403
    api.lists = lambda: (200, listing(5, config_map("a", 5)))
    scripted.start()
    eventually(lambda: api.watched, "the first watch")
    scripted.check()
    assert _known(scripted, "a") == [5]
    assert api.listed == 1


def test_who_waits_for_a_watch_that_was_ended_is_told(scripted: Informer) -> None:
    scripted.end()
    scripted.start()
    with pytest.raises(KubeError, match="the watch has ended"):
        scripted.check()


def test_a_watch_that_nobody_needs_any_more_is_left_at_once(scripted: Informer) -> None:
    scripted.start()
    scripted.check()
    scripted.end()
    eventually(_no_thread, "its thread ends")


def test_of_many_that_are_waited_for_the_one_that_fails_is_told_by_its_cause(pretended: KubeBench) -> None:
    pretended.target = pretended.new_target(Timing(pulling=0.0))
    names = [f"d{number}" for number in range(watcher.FEW + 2)]
    pretended.sketch.images["d3"] = "registry.example.org/runtime:missing"
    desired = pretended.graph({f"fraud/{name}": "v1" for name in names}, replicas=1)
    pretended.apply(desired)
    names_of = {v.id: v.deployment.name for v in desired.variants.values()}

    def done() -> bool:
        seen = pretended.rollout.readiness(list(names_of))
        states = {names_of[variant]: one.state for variant, one in seen.items()}
        return states.pop("d3") is ReadinessState.FAILED and set(states.values()) == {ReadinessState.READY}

    eventually(done, "nine ready, one failed")
    (failed,) = (variant for variant, name in names_of.items() if name == "d3")
    assert "can't be pulled" in pretended.rollout.readiness([failed])[failed].cause


def test_variants_that_come_one_after_the_other_are_all_told_of(pretended: KubeBench) -> None:
    names = [f"d{number}" for number in range(watcher.FEW + 2)]
    desired = pretended.graph({f"fraud/{name}": "v1" for name in names}, replicas=1)
    pretended.apply(desired)
    for variant in desired.variants:
        pretended.wait_ready(variant)


def test_traffic_moves_by_what_the_cluster_says_now(pretended: KubeBench) -> None:
    pretended.target = pretended.new_target(Timing(freshness=-1.0))  # as if nothing had been heard for long
    desired = pretended.graph({"fraud/churn": "v1"}, replicas=1)
    (running,) = desired.variants
    prepared = pretended.apply(desired)
    pretended.wait_ready(running)
    pretended.kubectl("delete", "-n", pretended.namespace(), "deployment", running.name)
    with pytest.raises(TargetError, match="Traffic can't move"):
        prepared.route(deployment_id("fraud", "churn"))


def test_nothing_is_watched_once_the_target_is_closed(pretended: KubeBench) -> None:
    desired = pretended.graph({"fraud/churn": "v1"}, replicas=1)
    pretended.apply(desired)
    target = pretended.new_target()
    rollout = target.prepare(desired, target.observe(EVERYTHING))
    rollout.readiness(desired.variants)
    target.close()
    with pytest.raises(KubeError, match="closed"):
        rollout.readiness(desired.variants)
