"""`kubeserve render` as a process, with the real helm and without any cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from reconciler.targets.kubernetes.objects.identity import DIGEST, FIELDS, RENDERED, annotation, rendered_digest
from reconciler.targets.kubernetes.tenancy.permissions import manifest
from specs.loading.loader import load_platform
from tests.support.cli.desk import Desk, Finished
from tests.support.kubernetes.helm import helm

PLATFORM = """\
apiVersion: kubeserve.io/v1
target: kubernetes
artifactStore: {type: s3, bucket: models, podAccess: {secret: ops/store-read}}
runtime: {image: "registry.example.org/runtime:1", pullSecret: ops/registry}
kubernetes: {gateway: platform/public, serviceAccount: ops/reconciler}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.write("platform.yaml", PLATFORM)
    token = {"TOKEN": {"secret": "hub", "key": "token"}}
    desk.spec({"a": {"version": "v1", "env": token}, "b": {"traffic": {"v1": 90, "v2": 10}}}, ("v1", "v2"))
    desk.spec({"c": "v1"}, tenant="other", path="other/kubeserve.yaml")
    return desk


def render(desk: Desk, *arguments: str, program: Path | None = None) -> Finished:
    return desk.run("render", *arguments, KUBESERVE_HELM=str(program or helm()), KUBECONFIG="/nowhere")


def kinds(objects: list[Any]) -> list[str]:
    return [f"{one['kind']} {one['metadata']['name'].partition('-')[0]}" for one in objects]


def test_tenants_come_first_then_each_deployment_with_its_variants_before_its_route(desk: Desk) -> None:
    done = render(desk)
    assert done.code == 0, done
    objects = list(yaml.safe_load_all(done.out))
    found = kinds(objects)
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"] == [
        "kubeserve-demo",
        "kubeserve-other",
    ]
    last_of_tenants = max(index for index, name in enumerate(found) if name == "ServiceAccount kubeserve")
    assert last_of_tenants < found.index("Deployment a") < found.index("HTTPRoute a") < found.index("Deployment b")
    assert found.count("Deployment b") == 2
    assert "&id" not in done.out
    assert all(one["kind"] != "Secret" for one in objects)


def test_every_object_carries_the_digest_of_itself_and_a_variants_say_what_they_are(desk: Desk) -> None:
    objects = render(desk, "-o", "json").data["items"]
    for one in objects:
        assert annotation(one, RENDERED) == rendered_digest(one)
    described = [one for one in objects if "kubeserve.io/variant" in one["metadata"]["labels"]]
    described = [one for one in described if one["kind"] in ("Deployment", "Service")]
    assert len(described) == 8
    for one in described:
        assert annotation(one, DIGEST).startswith("sha256:")
        assert orjson.loads(annotation(one, FIELDS))["version"] in ("v1", "v2")
    workloads = [one for one in described if one["kind"] == "Deployment"]
    assert not any(one["spec"]["template"]["metadata"].get("annotations") for one in workloads)


def test_json_is_one_list_with_the_same_objects(desk: Desk) -> None:
    listed = render(desk, "-o", "json").data
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    assert listed["items"] == list(yaml.safe_load_all(render(desk).out))


def test_only_narrows_it(desk: Desk) -> None:
    objects = list(yaml.safe_load_all(render(desk, "--only", "demo/a").out))
    assert {one["metadata"].get("namespace", "kubeserve-demo") for one in objects} == {"kubeserve-demo"}
    assert {name for name in kinds(objects) if name.startswith("Deployment")} == {"Deployment a"}


@pytest.mark.parametrize("name", ["demo/nothing", "nobody"])
def test_a_name_that_nothing_has_is_an_error(desk: Desk, name: str) -> None:
    done = render(desk, "--only", name)
    assert (done.code, done.out) == (1, "")
    assert "Nothing has this name" in done.err


def test_service_monitors_are_rendered_when_asked_for(desk: Desk) -> None:
    assert "kind: ServiceMonitor" not in render(desk).out
    assert "kind: ServiceMonitor" in render(desk, "--service-monitors").out


def test_what_can_not_be_rendered_is_an_error_and_the_rest_is_printed(desk: Desk) -> None:
    desk.spec({"9lives": "v1"}, tenant="odd", path="odd/kubeserve.yaml")
    done = render(desk)
    assert done.code == 1
    assert "variant/odd/9lives-" in done.err
    assert "Traceback" not in done.err
    assert {"Deployment a", "Deployment c"} <= set(kinds(list(yaml.safe_load_all(done.out))))


def test_a_broken_spec_is_an_error_of_its_tenant_alone(desk: Desk) -> None:
    desk.write("other/kubeserve.yaml", "apiVersion: kubeserve.io/v1\ntenant: other\nmodels: 7\n")
    done = render(desk)
    assert done.code == 1
    assert "other/kubeserve.yaml:3" in done.err
    assert "Deployment a" in kinds(list(yaml.safe_load_all(done.out)))


def test_without_helm_it_says_how_to_get_it(desk: Desk) -> None:
    done = render(desk, program=desk.folder / "no-helm")
    assert (done.code, done.out) == (1, "")
    assert "https://helm.sh" in done.err


def test_a_platform_that_runs_processes_has_no_manifests(desk: Desk) -> None:
    desk.write("platform.yaml", "apiVersion: kubeserve.io/v1\n")
    done = render(desk)
    assert (done.code, done.out) == (1, "")
    assert "Nothing to render" in done.err


def test_rbac_is_the_manifest_of_this_platform(desk: Desk) -> None:
    done = desk.run("render", "--rbac")
    assert list(yaml.safe_load_all(done.out)) == manifest(load_platform("platform.yaml", PLATFORM.encode()))
    assert "store-read" in done.out
