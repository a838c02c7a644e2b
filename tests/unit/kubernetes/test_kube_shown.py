"""What a plan shows of an object's values: every path on request, short, and no secret."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest

from reconciler.model.described import FieldChange
from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.compare import all_differences, differences
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, Propagation, stamped
from reconciler.targets.kubernetes.objects.redaction import MAX_VALUE, text
from reconciler.targets.kubernetes.planning.changes import removed, touched
from reconciler.targets.kubernetes.planning.payload import Payload
from reconciler.targets.protocol import ObjectAction

SECRET = "hunter2-but-long"


def workload(*env: dict[str, str], **changes: Any) -> Object:
    pod = {"containers": [{"name": "server", "image": "runtime:1", "env": list(env)}]}
    spec = {"replicas": 2, "template": {"spec": pod}, **changes}
    metadata = {"name": "d", "namespace": "n", "annotations": {"note": "a"}}
    return stamped({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def noted(annotations: dict[str, str]) -> Object:
    return workload(template={"metadata": {"annotations": annotations}})


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
    assert all(change.new == "x" * MAX_VALUE + "… (300 more characters)" for change in found)


@pytest.mark.parametrize(
    ("ours", "live"),
    [
        (workload(variable("TOKEN", SECRET)), workload(variable("TOKEN", "another-secret-1"))),
        (workload(variable("TOKEN", SECRET)), workload()),
        (workload(variable("TOKEN", SECRET)), workload(template={"spec": {"containers": []}})),
        (workload(), workload(template={"spec": {"containers": [], "note": f"--password={SECRET}"}})),
        (workload(template={"args": [f"--password={SECRET}"]}), workload(template={"args": ["-v"]})),
        (workload(template={"args": ["--password", SECRET]}), workload(template={"args": ["--password", "another"]})),
        (workload(template={"args": ["--password", SECRET]}), workload(template={"args": []})),
        (noted({"example.org/token": SECRET}), noted({"example.org/token": "another-secret-1"})),
        (noted({"example.org/token": SECRET}), noted({})),
        (noted({"example.org/token": SECRET}), workload()),
        (workload(template={"url": f"https://u:{SECRET}@x"}), workload()),
    ],
)
def test_no_credential_shows_wherever_it_is_and_that_it_changed_does(ours: Object, live: Object) -> None:
    assert differences(ours, live)
    for found in (all_differences(ours, live), differences(ours, live), all_differences(live, ours)):
        assert SECRET not in str(found)
        assert all(change.old != change.new for change in found)


POD = "spec.template.spec.containers[server]"
HIDDEN = {
    "an annotation": ("metadata.annotations.example.org/api-token", SECRET),
    "an annotation of a pod": ("spec.template.metadata.annotations.example.org/api-token", SECRET),
    "an annotation with a short name": ("spec.template.metadata.annotations.example.key", SECRET),
    "a value with a reference's form": ("metadata.annotations.token", f"secret x/{SECRET}"),
    "a label of a pod": ("spec.template.metadata.labels.example.org/password", SECRET),
    "all annotations at once": ("spec.template.metadata.annotations", {"example.org/api-token": SECRET}),
    "annotations in a template": ("spec.template", {"metadata": {"annotations": {"key": SECRET}}}),
    "a selector": ("spec.template.spec.nodeSelector.example.org/secret", SECRET),
    "data by a name": ("data.password", SECRET),
    "data with a name of the API": ("data", {"key": SECRET}),
    "data of several lines": ("data.config", f"user: me\npassword:\n  {SECRET}\n"),
    "JSON as text": ("metadata.annotations.note", f'[{{"name": "TOKEN", "value": "{SECRET}"}}]'),
    "JSON as text with a name": ("data.auth", f'{{"auths": {{"x": {{"auth": "{SECRET}"}}}}}}'),
    "JSON without end": ("metadata.annotations.note", "[" * 1000 + f'"--token {SECRET}"' + "]" * 1000),
    "JSON that says it twice": ("metadata.annotations.note", f'{{"token": "{SECRET}", "token": "{SECRET}2"}}'),
    "a key of a map": ("metadata.annotations", {f"https://me:{SECRET}@x": "1"}),
    "a variable": (f"{POD}.env[TOKEN].value", SECRET),
    "a variable with digits as its name": (f"{POD}.env[0].value", f"Bearer {SECRET}"),
    "all variables at once": (f"{POD}.env", [{"name": "TOKEN", "value": SECRET}]),
    "a container at once": (POD, {"env": [{"name": "DB_PASS", "value": SECRET}]}),
    "a header": (f"{POD}.livenessProbe.httpGet.httpHeaders", [{"name": "Authorization", "value": f"Digest {SECRET}"}]),
    "a header whose name is not there": (f"{POD}.livenessProbe.httpGet.httpHeaders[0].value", SECRET),
    "a header that is matched": ("spec.rules[0].matches[0].headers[1].value", SECRET),
    "a header that is set": ("spec.rules[0].filters[0]", {"set": [{"name": "X-Api-Key", "value": SECRET}]}),
    "a scheme without a digit": ("metadata.annotations.note", "Bearer hunter-but-long"),
    "parameters of a scrape": ("spec.endpoints[0]", {"params": {"token": [SECRET]}}),
    "one parameter of a scrape": ("spec.endpoints[0].params.token[0]", SECRET),
    "a value below a name": ("spec.password", {"value": SECRET}),
    "a flag's value": (f"{POD}.args", ["--password", SECRET]),
    "a flag's value after a flag": (f"{POD}.args", ["--verbose", "--api-key", SECRET]),
    "a flag's value that begins as a flag": (f"{POD}.args", ["--token", f"-{SECRET}"]),
    "a flag's value after an equals sign": (f"{POD}.args", ["--password=", SECRET]),
    "a name with a password": (f"{POD}.args", ["-u", f"me:{SECRET}"]),
    "a flag with its value": (f"{POD}.args", [f"--token={SECRET}"]),
    "a flag of flags without end": (f"{POD}.args", [f"{'--a=' * 2000}--token={SECRET}"]),
    "a flag with JSON": (f"{POD}.args", [f'--set={{"env": [{{"name": "TOKEN", "value": "{SECRET}"}}]}}']),
    "a flag for a credential": (f"{POD}.env[TOKEN].value", f"--hunter={SECRET}"),
    "a flag with one dash": (f"{POD}.command", ["run", "-password", SECRET]),
    "a flag's value in a shell": (f"{POD}.command", ["sh", "-c", f"run --password {SECRET}"]),
    "a variable in a shell": (f"{POD}.command", ["sh", "-c", f"TOKEN={SECRET} run"]),
    "a header of a command": (f"{POD}.args", ["-H", f"Authorization: Digest {SECRET}"]),
    "an argument whose flag is not there": (f"{POD}.args[1]", SECRET),
    "an argument of a probe": (f"{POD}.livenessProbe.exec.command[2]", SECRET),
    "an argument in base64": (f"{POD}.args[1]", f"/{SECRET}/aBcD"),
    "a URL": (f"{POD}.env[URL].value", f"https://me:{SECRET}@x"),
    "a URL with a long password": (f"{POD}.env[URL].value", f"https://me:{SECRET * 50}@x"),
    "a URL in a list": (f"{POD}.args", [f"--url=https://me:{SECRET}@x"]),
    "a name in colours": ("data.note", f"pass\x1b[0mword={SECRET}"),
    "what is cut at the limit": ("data.note", f"{'x' * (MAX_VALUE - 20)} token={SECRET}"),
}
READABLE = {
    "a path": (f"{POD}.readinessProbe.httpGet.path", "/token"),
    "a mounted path": (f"{POD}.volumeMounts[/run/my.token].name", "hub"),
    "a path in a list": (f"{POD}.args[0]", "/run/secrets/token"),
    "a flag in a list": (f"{POD}.args[0]", "--token-file=/run/secrets/token"),
    "a switch in a list": (f"{POD}.args[0]", "--verbose"),
    "a number in a list": (f"{POD}.args[1]", "8080"),
    "arguments": (f"{POD}.args", ["--port", "8080", "--log-level=debug", "serve", "--max-tokens", "5"]),
    "a user": (f"{POD}.args", ["--user", "nobody"]),
    "a program": (f"{POD}.command[0]", "kubeserve-fetch"),
    "a switch after a switch": (f"{POD}.args", ["--use-token", "--verbose"]),
    "a reference to a Secret": (
        f"{POD}.env",
        [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}],
    ),
    "the name of a Secret": (f"{POD}.env[TOKEN].valueFrom.secretKeyRef.name", "hub"),
    "the key of a Secret": (f"{POD}.env[TOKEN].valueFrom.secretKeyRef.key", "token"),
    "pull secrets": ("spec.template.spec", {"imagePullSecrets": [{"name": "registry"}]}),
    "a pull secret": ("spec.template.spec.imagePullSecrets[registry].name", "registry"),
    "a volume of a Secret": ("spec.template.spec.volumes[hub]", {"secret": {"secretName": "hub"}, "name": "token"}),
    "what is projected": ("spec.x", {"serviceAccountToken": {"path": "token", "audience": "sts.amazonaws.com"}}),
    "a switch of the API": ("spec.template.spec.automountServiceAccountToken", True),
    "names of scraping": ("spec.endpoints[0].basicAuth", {"password": {"name": "hub", "key": "password"}}),
    "a type of authorization": ("spec.endpoints[0].authorization", {"type": "Bearer"}),
    "where pods are spread": ("spec.topologySpreadConstraints[0].topologyKey", "kubernetes.io/hostname"),
    "what is tolerated": ("spec.tolerations", [{"key": "gpu", "operator": "Equal", "value": "shared"}]),
    "what one toleration tolerates": ("spec.tolerations[0].value", "shared"),
    "what is matched": ("spec.selector.matchExpressions", [{"key": "tier", "operator": "In", "values": ["gold"]}]),
    "a path that is matched": ("spec.rules[0].matches[0].path.value", "/team/churn"),
    "a variable": (f"{POD}.env", [{"name": "LEVEL", "value": "info"}]),
    "a variable that switches": (f"{POD}.env[USE_AUTH].value", "true"),
    "labels": ("metadata.labels", {"kubeserve.io/tenant": "fraud", "app.kubernetes.io/name": "tokenizer"}),
    "an image": (f"{POD}.image", "registry.example.org/token:1.0"),
    "a port": (f"{POD}.ports[8080/TCP].name", "http"),
    "JSON as text": ("metadata.annotations.note", '{"replicas":"2"}'),
    "text in brackets": ("metadata.annotations.note", "[draft] {"),
}


@pytest.mark.parametrize(("path", "value"), HIDDEN.values(), ids=HIDDEN.keys())
def test_a_credential_is_hidden_at_every_depth(path: str, value: JSON) -> None:
    found = str(text(value, path, MAX_VALUE))
    assert "hidden (" in found
    assert "hunter" not in found


@pytest.mark.parametrize(("path", "value"), READABLE.values(), ids=READABLE.keys())
def test_what_is_no_credential_stays_readable(path: str, value: JSON) -> None:
    assert text(value, path, 1000) == str(value)


@pytest.mark.parametrize(
    "value", [{"note": [f"--password={SECRET}"]}, [{"name": "TOKEN", "value": SECRET}], f'{{"token": "{SECRET}"}}']
)
def test_that_a_hidden_value_changed_is_shown(value: JSON) -> None:
    other = orjson.loads(orjson.dumps(value).replace(b"hunter2", b"hunter3"))
    assert text(value, "spec.x", 1000) != text(other, "spec.x", 1000)


def test_what_was_hidden_already_is_not_hidden_again() -> None:
    field = "metadata.annotations.kubeserve.io/fields[env.TOKEN]"
    for value in ("hidden (0a1b2c3d)", "secret hub/token"):
        assert text(value, field, 99) == value


def test_a_value_is_compared_and_stored_as_it_is() -> None:
    assert text("a\x1b[2Jb\nc", "x", 99) == "a\x1b[2Jb\nc"


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
