"""Whether a plan fits into a tenant's quota at the height of its rollouts, as the cluster counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.resources import Desired, Replicas, Scope, tenant_id
from reconciler.targets.kubernetes.objects.identity import Object, stamped
from reconciler.targets.kubernetes.planning.observe import group, objects_of
from reconciler.targets.kubernetes.tenancy.quota import Need, Quotas, check_quotas, pod_need
from reconciler.targets.protocol import Live
from tests.support.engine.graphs import graph
from tests.support.kubernetes.bench import Sketch, platform

FRAUD = tenant_id("fraud")
PLATFORM = platform("test", "t-")
NOTHING = group([], Scope())


def wanted(deployments: Mapping[str, Any], replicas: tuple[int, int] = (1, 1), cpu: int = 500) -> Desired:
    desired = graph(deployments)
    sized = {
        key: replace(v, replicas=Replicas(*replicas), cpu_millicores=cpu, memory_bytes=64 << 20)
        for key, v in desired.variants.items()
    }
    return replace(desired, variants=sized)


def check(desired: Desired, observed: Live = NOTHING) -> Quotas:
    return check_quotas(desired, objects_of(observed), Sketch(PLATFORM).render(desired), PLATFORM)


def live(desired: Desired, replicas: int | None = None) -> Live:
    """What is there once a graph was applied, at a number of replicas that an autoscaler chose."""
    objects = []
    for rendered in Sketch(PLATFORM).render(desired).values():
        for one in rendered.objects:
            found: Object = stamped(one)
            if one["kind"] == "Deployment" and replicas is not None:
                found = {**found, "spec": {**found["spec"], "replicas": replicas}}
            objects.append({**found, "metadata": {**found["metadata"], "uid": "1"}})
    return group(objects, Scope())


def test_what_fits_is_no_error_and_nothing_to_know() -> None:
    assert check(wanted({"fraud/a": "v1", "fraud/b": "v1", "risk/c": "v1"})) == Quotas()


def test_the_error_shows_the_sum_and_is_the_tenants_alone() -> None:
    found = check(wanted({"fraud/a": "v1", "fraud/b": "v1", "risk/c": "v1"}, (3, 3)))
    assert found.errors.keys() == {FRAUD}
    detail = found.errors[FRAUD].detail
    assert "needs 3 CPU, 384Mi memory, 6 pods for what is asked: 3 CPU of 2; 6 pods of 5" in detail


def test_what_is_replaced_counts_until_it_is() -> None:
    before, after = (wanted({"fraud/a": version, "fraud/b": version}, cpu=600) for version in ("v1", "v2"))
    assert check(before).errors == {}
    assert check(before, live(before)).errors == {}
    detail = check(after, live(before)).errors[FRAUD].detail
    assert "and 1200m CPU, 128Mi memory, 2 pods for those that run until they are replaced: 2400m CPU of 2" in detail


def test_a_new_variant_is_counted_with_as_many_replicas_as_the_old_one_has() -> None:
    before, after = (wanted({"fraud/a": version}, (1, 4), cpu=300) for version in ("v1", "v2"))
    assert check(after, live(before, replicas=2)).errors == {}
    assert "6 pods of 5" in check(after, live(before, replicas=3)).errors[FRAUD].detail


def test_what_goes_counts_until_it_is_gone() -> None:
    assert (
        "2500m CPU of 2"
        in check(wanted({"fraud/b": "v1"}, cpu=1000), live(wanted({"fraud/a": "v1"}, cpu=1500))).errors[FRAUD].detail
    )


def test_a_maximum_over_the_quota_is_to_know() -> None:
    found = check(wanted({"fraud/a": "v1"}, (1, 9)))
    assert found.errors == {}
    assert found.notes[FRAUD].startswith(
        "all replicas that its autoscalers may start would need 4500m CPU of 2; 9 pods of 5"
    )


def container(cpu: str = "", memory: str = "", **more: Any) -> dict[str, Any]:
    amounts = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"name": "x", "resources": {"requests": amounts}, **more} if amounts else {"name": "x", **more}


@pytest.mark.parametrize(
    ("pod", "need"),
    [
        ({"containers": [container("1", "1Gi")]}, Need(1000, 2**30, 1)),
        ({"containers": [container("1", "1Gi"), container("500m", "1Gi")]}, Need(1500, 2**31, 1)),
        (
            {"containers": [container("1", "1Gi")], "initContainers": [container("2", "512Mi")]},
            Need(2000, 2**30, 1),
        ),
        (
            {"containers": [container("1", "1Gi")], "initContainers": [container("1", "1Gi", restartPolicy="Always")]},
            Need(2000, 2**31, 1),
        ),
        ({"containers": [container()]}, Need(100, 128 * 2**20, 1)),
        ({"containers": [{"name": "x", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]}, Need(2000, 2**30, 1)),
        ({"containers": [container("1", "1Gi")], "overhead": {"cpu": "250m"}}, Need(1250, 2**30, 1)),
    ],
    ids=["one", "several", "init", "sidecar", "nothing said", "limits alone", "overhead"],
)
def test_every_container_of_a_pod_counts_as_the_cluster_counts_it(pod: Any, need: Need) -> None:
    assert pod_need({"spec": pod}) == need
