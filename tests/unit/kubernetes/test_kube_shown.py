"""What a plan shows of an object's values: every path on request, short, and no secret."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from reconciler.targets.kubernetes.compare import all_differences, differences
from reconciler.targets.kubernetes.explain import removed, touched
from reconciler.targets.kubernetes.objects import Object, ObjectRef, Propagation, stamped
from reconciler.targets.kubernetes.prepare import Payload
from reconciler.targets.kubernetes.shown import MAX_VALUE, text
from reconciler.targets.protocol import FieldChange, ObjectAction

SECRET = "hunter2-but-long"


def workload(*env: dict[str, str], **changes: Any) -> Object:
    pod = {"containers": [{"name": "server", "image": "runtime:1", "env": list(env)}]}
    spec = {"replicas": 2, "template": {"spec": pod}, **changes}
    metadata = {"name": "d", "namespace": "n", "annotations": {"note": "a"}}
    return stamped({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def ref(one: Object) -> ObjectRef:
    return ObjectRef.of(one)


def touches(payload: Payload, *live: Object) -> list[tuple[str, str]]:
    return [(str(c.object), c.action.value) for c in touched(payload, {ref(one): one for one in live})]


def test_all_paths_are_shown_and_values_shortened_at_their_limit() -> None:
    many = workload(*(variable(f"V{n}", "x" * 500) for n in range(20)))
    found = all_differences(many, workload(*(variable(f"V{n}", "") for n in range(20))))
    assert len(found) == 20
    assert all(change.new and len(change.new) == MAX_VALUE and change.new.endswith("...") for change in found)


@pytest.mark.parametrize(
    ("ours", "live"),
    [
        (workload(variable("TOKEN", SECRET)), workload(variable("TOKEN", "another-secret-1"))),
        (workload(variable("TOKEN", SECRET)), workload()),
        (workload(variable("TOKEN", SECRET)), workload(template={"spec": {"containers": []}})),
        (workload(), workload(template={"spec": {"containers": [], "note": f"--password={SECRET}"}})),
        (workload(template={"args": [f"--password={SECRET}"]}), workload(template={"args": ["-v"]})),
        (workload(template={"url": f"https://u:{SECRET}@x"}), workload()),
    ],
)
def test_no_credential_shows_wherever_it_is_and_that_it_changed_does(ours: Object, live: Object) -> None:
    assert differences(ours, live)
    for found in (all_differences(ours, live), differences(ours, live), all_differences(live, ours)):
        assert SECRET not in str(found)
        assert all(change.old != change.new for change in found)


def test_an_annotation_named_as_a_credential_is_hidden_and_names_of_the_api_are_not() -> None:
    assert str(text("abcdefgh1", "metadata.annotations.example.org/api-token", 99)).startswith("hidden (")
    assert text("kubernetes.io/hostname", "spec.topologySpreadConstraints[0].topologyKey", 99) == (
        "kubernetes.io/hostname"
    )
    assert text({"name": "LEVEL", "value": "info"}, "x", 99) == "{'name': 'LEVEL', 'value': 'info'}"


def test_what_a_value_says_to_a_terminal_is_not_said() -> None:
    assert text("a\x1b[2Jb\nc", "x", 99) == "ab\\nc"


def test_what_a_variant_records_of_itself_is_told_field_by_field() -> None:
    def recording(fields: str) -> Object:
        found = workload()
        metadata = {**found["metadata"], "annotations": {"kubeserve.io/fields": fields}}
        return stamped({**found, "metadata": metadata})

    now = recording('{"replicas":"2","cpu":"1"}')
    path = "metadata.annotations.kubeserve.io/fields"
    assert all_differences(now, recording('{"replicas":"1","cpu":"1"}')) == (
        FieldChange(f"{path}[replicas]", "1", "2"),
    )
    broken = all_differences(now, recording("{"))
    assert {(c.field, c.old, c.new) for c in broken} == {(f"{path}[replicas]", None, "2"), (f"{path}[cpu]", None, "1")}
    leaked = all_differences(now, recording(f'{{"replicas":"2","cpu":"1","env.TOKEN":"{SECRET}"}}'))
    assert leaked
    assert SECRET not in str(leaked)
    assert [c.field for c in all_differences(now, recording('{"cpu":"1", "replicas":"2"}'))] == [path]


def test_what_was_applied_and_is_rendered_no_more_is_shown_as_what_goes() -> None:
    rendered = workload(variable("A", "1"))
    del rendered["spec"]["replicas"]  # an autoscaler's from now on
    live = deepcopy(workload(variable("A", "1"), variable("B", "2"), minReadySeconds=7))
    env: Any = {'k:{"name":"A"}': {".": {}, "f:value": {}}, 'k:{"name":"B"}': {".": {}, "f:value": {}}}
    containers = {'k:{"name":"server"}': {"f:env": env}}
    spec = {"f:minReadySeconds": {}, "f:replicas": {}, "f:template": {"f:spec": {"f:containers": containers}}}
    entry = {"manager": "kubeserve", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": spec}}
    live["metadata"]["managedFields"] = [entry]
    assert set(all_differences(rendered, live)) == {
        FieldChange("spec.minReadySeconds", "7", None),
        FieldChange("spec.template.spec.containers[server].env[B]", "{'name': 'B', 'value': '2'}", None),
    }


def test_each_object_is_created_changed_replaced_or_deleted_and_the_others_are_not_named() -> None:
    new, old = workload(replicas=3), workload()
    same = {**old, "kind": "Service"}
    payload = Payload((new, same), obsolete=({**old, "kind": "PodDisruptionBudget"},))
    assert touches(payload, old, same) == [("Deployment n/d", "change"), ("PodDisruptionBudget n/d", "delete")]
    assert touches(Payload((new,))) == [("Deployment n/d", "create")]
    going = {**old, "metadata": {**old["metadata"], "deletionTimestamp": "now"}}
    assert touches(Payload((new,)), going) == [("Deployment n/d", "create")]
    assert touches(Payload((new,), replaced={ref(new): Propagation.ORPHAN}), old) == [("Deployment n/d", "replace")]
    assert [one.action for one in removed([old])] == [ObjectAction.DELETE]
