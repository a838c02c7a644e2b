"""One failed pull of an image does not end a rollout; several do, and what can never be pulled does at once."""

from __future__ import annotations

from typing import cast

import pytest

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.readiness.pods import Pulls, pod_failure, pod_waits_for

NO_CLUSTER = cast(KubeClient, None)
"""No log is read of a container that never ran."""


def pod(reason: str, uid: str = "1", container: str = "server") -> Object:
    state = {"waiting": {"reason": reason, "message": f"{reason} of it"}} if reason else {"running": {}}
    status = {"name": container, "image": "runtime:9", "state": state}
    return {"metadata": {"uid": uid, "name": "p", "namespace": "n"}, "status": {"containerStatuses": [status]}}


def failures(*reasons: str, pulls: Pulls | None = None) -> list[bool]:
    """Whether each state of a pod, one after the other, ends the rollout."""
    pulls = pulls or Pulls(3600.0)
    return [pod_failure(NO_CLUSTER, pod(reason), pulls) is not None for reason in reasons]


def test_the_second_failed_pull_ends_a_rollout_and_waiting_for_it_does_not() -> None:
    assert failures("ErrImagePull", "ImagePullBackOff", "ErrImagePull") == [False, False, True]
    assert failures("ErrImagePull", "ErrImagePull") == [False, False]  # one try, told twice
    assert failures("ImagePullBackOff", "ImagePullBackOff", "ErrImagePull") == [False, False, True]


def test_a_pull_that_succeeds_is_forgotten() -> None:
    assert failures("ErrImagePull", "ImagePullBackOff", "", "ErrImagePull") == [False] * 4


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_can_never_be_pulled_ends_a_rollout_at_once(reason: str) -> None:
    failure = pod_failure(NO_CLUSTER, pod(reason), Pulls(3600.0))
    assert failure is not None
    assert failure.cause == f"image runtime:9 can't be pulled: {reason} of it"


def test_an_image_that_fails_for_too_long_ends_a_rollout_though_no_second_try_was_seen() -> None:
    assert failures("ImagePullBackOff", pulls=Pulls(0.0)) == [True]


def test_pods_and_containers_are_counted_each_for_itself() -> None:
    pulls = Pulls(3600.0)
    for uid, container in (("1", "fetch"), ("1", "server"), ("2", "fetch")):
        assert pod_failure(NO_CLUSTER, pod("ImagePullBackOff", uid, container), pulls) is None
    assert pod_failure(NO_CLUSTER, pod("ErrImagePull", "3"), pulls) is None
    assert pulls.until([pod("ErrImagePull", "4")]) is None
    first, second = pulls.until([pod("ErrImagePull", "1")]), pulls.until([pod("ErrImagePull", "3")])
    assert first is not None
    assert second is not None
    assert pulls.until([pod("ErrImagePull", "1"), pod("ErrImagePull", "3")]) == first <= second


def test_what_is_waited_for_says_that_it_is_tried_again() -> None:
    assert (
        pod_waits_for(pod("ErrImagePull"))
        == "image runtime:9 could not be pulled: ErrImagePull of it; it is tried again"
    )


def test_without_a_history_any_failed_pull_is_the_cause() -> None:
    assert pod_failure(NO_CLUSTER, pod("ErrImagePull")) is not None
