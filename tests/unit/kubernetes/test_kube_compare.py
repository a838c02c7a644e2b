"""What counts as a difference between a rendered object and a live one, and what does not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from reconciler.model.described import FieldChange
from reconciler.targets.kubernetes.objects.compare import differences, is_drift
from reconciler.targets.kubernetes.objects.identity import Object, stamped

CONTAINER = {
    "name": "server",
    "image": "runtime:1",
    "args": ["--port", "8080"],
    "env": [{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""}],
    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
}


def rendered(**changes: Any) -> Object:
    pod = {"containers": [CONTAINER], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    spec = {"replicas": 2, "template": {"spec": pod}, **changes}
    return stamped(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": spec}
    )


def live(one: Object | None = None) -> Object:
    """As the API server answers it: with defaults, a status, and its own order of keys."""
    found = deepcopy(one or rendered())
    found["metadata"] |= {"uid": "1", "resourceVersion": "7", "generation": 1}
    found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    pod = found["spec"]["template"]["spec"]
    pod |= {"restartPolicy": "Always", "schedulerName": "default-scheduler"}
    pod["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}
    pod["containers"][0]["env"] = [{"name": "A", "value": "1"}, {"name": "EMPTY"}]
    pod["containers"][0]["resources"]["limits"] = {"memory": "1Gi", "cpu": "1"}
    return {**found, "status": {"replicas": 2}}


def container(found: Object) -> dict[str, Any]:
    one: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return one


def test_defaults_status_other_spellings_and_what_others_add_are_no_difference() -> None:
    assert differences(rendered(), live()) == ()


def test_what_is_not_there_is_one_difference_and_drift() -> None:
    assert differences(rendered(), None) == (FieldChange("Deployment d", None, "present"),)
    assert is_drift(rendered(), None)


def test_what_is_on_its_way_out_has_to_be_made_again() -> None:
    going = live()
    going["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    assert differences(rendered(), going) == (FieldChange("Deployment d", "going", "present"),)


@pytest.mark.parametrize(
    ("change", "field", "old", "new"),
    [
        (lambda c: c.update(image="other"), "image", "other", "runtime:1"),
        (lambda c: c["args"].append("--debug"), "args", "['--port', '8080', '--debug']", "['--port', '8080']"),
        (lambda c: c.pop("args"), "args", "[]", "['--port', '8080']"),
        (lambda c: c["env"][0].update(value="2"), "env[A].value", "2", "1"),
        (lambda c: c["env"].pop(0), "env[A]", None, "{'name': 'A', 'value': '1'}"),
        (lambda c: c["resources"]["limits"].update(cpu="2"), "resources.limits.cpu", "2", "1000m"),
        (lambda c: c["ports"][0].update(name="web"), "ports[8080/TCP].name", "web", "http"),
    ],
)
def test_a_value_of_ours_that_is_otherwise_is_told_with_its_path(
    change: Any, field: str, old: str | None, new: str | None
) -> None:
    changed = live()
    change(container(changed))
    path = f"Deployment spec.template.spec.containers[server].{field}"
    assert differences(rendered(), changed)[0] == FieldChange(path, old, new)
    assert is_drift(rendered(), changed)


def test_replicas_are_told_in_the_words_of_people() -> None:
    scaled = live()
    scaled["spec"]["replicas"] = 1
    assert differences(rendered(), scaled) == (FieldChange("running replicas", "1", "2"),)


def test_a_change_of_what_is_rendered_is_no_drift() -> None:
    now = rendered(replicas=3)
    assert differences(now, live()) == (FieldChange("running replicas", "2", "3"),)
    assert not is_drift(now, live())


def test_what_is_no_longer_rendered_is_a_difference_though_nothing_that_we_set_differs() -> None:
    before = live(rendered(paused=True))
    assert differences(rendered(), before) == (FieldChange("Deployment d", "rendered before", "rendered now"),)


def test_two_ports_of_the_same_number_are_told_apart_and_a_policys_ports_are_one_value() -> None:
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    egress = [{"ports": ports, "to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"egress": egress}}
    ours = stamped({**policy, "metadata": {"name": "p", "namespace": "n"}})
    assert differences(ours, deepcopy(ours)) == ()
    opened = deepcopy(ours)
    opened["spec"]["egress"][0]["ports"].append({"port": 22, "protocol": "TCP"})
    assert "ports" in differences(ours, opened)[0].field
    opened = deepcopy(ours)
    opened["spec"]["egress"].append({})
    assert differences(ours, opened)[0].field == "NetworkPolicy spec.egress"


def test_no_more_than_a_few_changes_and_a_few_words_of_each_are_told() -> None:
    many = rendered()
    container(many)["env"] = [{"name": f"V{n}", "value": "x" * 500} for n in range(50)]
    found = differences(stamped(many), live())
    assert [change.field for change in found[8:]] == ["Deployment: 42 more"]
    assert all((change.new or "").endswith(" more characters)") for change in found[:8])
