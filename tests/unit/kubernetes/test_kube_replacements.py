"""What can't be changed in place: when it is replaced, and when that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.targets.kubernetes.objects.compare import differences
from reconciler.targets.kubernetes.objects.identity import Object, Propagation, stamped
from reconciler.targets.kubernetes.planning.replacement import replacements

LABELS = {"variant": "d-1", "name": "d"}


def deployment(selector: dict[str, Any], labels: dict[str, str] | None = None) -> Object:
    spec = {"selector": selector, "template": {"metadata": {"labels": labels or LABELS}, "spec": {}}}
    metadata = {"name": "d-1", "namespace": "n"}
    return stamped({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


WIDE = deployment({"matchLabels": LABELS})
NARROW = deployment({"matchLabels": {"variant": "d-1"}})


def test_a_selector_is_one_value_to_which_nobody_adds() -> None:
    assert [change.field for change in differences(NARROW, WIDE)] == ["Deployment spec.selector"]
    assert differences(WIDE, WIDE) == ()
    assert differences(deployment({"matchLabels": LABELS, "matchExpressions": []}), WIDE)[0].old == "rendered before"


@pytest.mark.parametrize("serves", [True, False])
@pytest.mark.parametrize(("rendered", "live"), [(NARROW, WIDE), (WIDE, NARROW)])
def test_pods_that_the_new_selector_selects_stay_and_serve(rendered: Object, live: Object, serves: bool) -> None:
    found = replacements([(rendered, live)], serves=serves)
    assert list(found.objects.values()) == [Propagation.ORPHAN]
    assert found.note.startswith("Deployment n/d-1 is deleted and created again, because its spec.selector")
    assert found.note.endswith("; its pods stay and keep serving")


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"variant": "d-1", "more": "1"}},
        {"matchLabels": {"variant": "d-1"}, "matchExpressions": [{"key": "name", "operator": "Exists"}]},
    ],
)
def test_pods_that_it_may_not_select_go_if_they_serve_nobody_and_else_it_is_refused(selector: dict[str, Any]) -> None:
    new = deployment(selector, {**LABELS, "more": "1"})
    idle = replacements([(new, WIDE)], serves=False)
    assert list(idle.objects.values()) == [Propagation.BACKGROUND]
    assert idle.note.endswith("its pods, which take no requests, are started again")
    serving = replacements([(new, WIDE)], serves=True)
    assert not serving.objects
    assert serving.error is not None
    assert "kubectl delete deployment d-1 -n n" in serving.error.detail


def test_what_is_new_going_or_otherwise_different_is_not_replaced() -> None:
    going = {**WIDE, "metadata": {**WIDE["metadata"], "deletionTimestamp": "now"}}
    other = deployment({"matchLabels": LABELS}, {**LABELS, "more": "1"})
    found = replacements([(NARROW, None), (NARROW, going), (other, WIDE)], serves=True)
    assert (dict(found.objects), found.note, found.error) == ({}, "", None)


def test_a_binding_that_kubeserve_may_not_delete_is_an_error_of_the_plan() -> None:
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    ours, live = (
        stamped({**binding, "metadata": {"name": "w", "namespace": "n"}, "roleRef": {"name": name}})
        for name in ("writer", "another")
    )
    found = replacements([(ours, live)], serves=False)
    assert found.error is not None
    assert "kubectl delete rolebinding w -n n" in found.error.detail
