"""Who edited what into our objects, from the record of field managers that the API server keeps."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.objects.ownership import editors, taken_over

ENV: Any = {"f:env": {'k:{"name":"SPY"}': {".": {}, "f:name": {}, "f:value": {}}}}
ADDED: Any = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"server"}': ENV}}}}}
OURS: Any = {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:volumes": {}}}}}


def entry(manager: str, fields: Any, operation: str = "Update", **more: str) -> dict[str, Any]:
    base = {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1"}
    return {**base, "fieldsV1": fields, **more}


def deployment(*entries: dict[str, Any]) -> Object:
    managed = [entry("kubeserve", OURS, "Apply"), *entries]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "managedFields": managed}}


def test_what_was_added_is_named_with_who_added_it() -> None:
    found = list(editors(deployment(entry("kubectl-edit", ADDED))))
    assert found == [("kubectl-edit", "spec.template.spec.containers[server].env[SPY]")]


@pytest.mark.parametrize(
    "other",
    [
        entry("kube-controller-manager", {"f:spec": {"f:paused": {}}}),
        entry("kubelet", {"f:status": {}}),
        entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale"),
        entry("kubectl-edit", {"f:spec": {"f:replicas": {}}}),
        entry("kubectl-label", {"f:metadata": {"f:labels": {"f:seen": {}}}}),
        entry("another-operator", ADDED, "Apply"),
        entry("kubeserve-scale", {"f:spec": {"f:replicas": {}}}, "Apply"),
        entry("kubectl-edit", ADDED, apiVersion="apps/v1beta1"),
    ],
)
def test_what_is_others_to_set_is_no_edit(other: dict[str, Any]) -> None:
    assert list(editors(deployment(other))) == []
    assert taken_over(deployment(other)) is None


def test_taken_over_the_added_fields_are_ours_and_the_others_stay_whose_they_are() -> None:
    controller = entry("kube-controller-manager", {"f:status": {}}, subresource="status")
    entries = taken_over(deployment(entry("kubectl-edit", ADDED), controller))
    assert entries is not None
    by_manager = {one["manager"]: one for one in entries}
    assert by_manager.keys() == {"kubeserve", "kube-controller-manager"}
    assert by_manager["kube-controller-manager"] == controller
    spec = by_manager["kubeserve"]["fieldsV1"]["f:spec"]
    assert spec["f:replicas"] == {}
    assert spec["f:template"]["f:spec"] == {"f:volumes": {}, **ADDED["f:spec"]["f:template"]["f:spec"]}


def test_a_number_of_replicas_is_never_taken_over() -> None:
    edited = entry("kubectl-edit", {"f:spec": {"f:replicas": {}, "f:paused": {}}})
    live = deployment(edited)
    live["metadata"]["managedFields"][0]["fieldsV1"] = {"f:spec": {"f:template": {}}}
    (ours,) = taken_over(live) or []
    assert ours["fieldsV1"] == {"f:spec": {"f:template": {}, "f:paused": {}}}


def test_what_we_have_never_applied_is_made_ours_as_applied() -> None:
    live = deployment(entry("kubectl-create", ADDED))
    del live["metadata"]["managedFields"][0]
    (ours,) = taken_over(live) or []
    assert (ours["manager"], ours["operation"], ours["fieldsV1"]) == ("kubeserve", "Apply", ADDED)
