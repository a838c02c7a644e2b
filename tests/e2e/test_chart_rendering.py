"""From a desired graph to fenced objects, through the real helm: whole, cached, and each tenant for itself."""

from __future__ import annotations

import shutil
import string
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model.resources import Desired, Replicas, ResourceId
from reconciler.targets.kubernetes.objects.identity import owner
from reconciler.targets.kubernetes.objects.rendered import Rendered
from reconciler.targets.kubernetes.rendering import FenceError, HelmMissing, Renderer, RenderError
from reconciler.targets.kubernetes.rendering.chart import own_chart
from reconciler.targets.kubernetes.rendering.helm import VARIABLE
from specs.models.platform import Platform
from tests.support.engine.graphs import graph
from tests.support.kubernetes.charts import IMAGE, assert_valid, platform
from tests.support.kubernetes.helm import helm

Object = dict[str, Any]


@pytest.fixture(autouse=True)
def _helm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(helm()))


def desired(*paths: str, **change: Any) -> Desired:
    """A graph whose variants run the image; `change`: of all of them."""
    return changed(graph(dict.fromkeys(paths, "v1")), **change)


def changed(found: Desired, tenant: str | None = None, **change: Any) -> Desired:
    """The same with other contents of a tenant's variants, or of all."""
    variants = {
        v.id: replace(v, runtime=IMAGE, **change) if tenant in (None, v.id.tenant) else v
        for v in found.variants.values()
    }
    return replace(found, variants=variants)


def objects(rendered: Mapping[ResourceId, Rendered]) -> list[Object]:
    errors = [one.error for one in rendered.values() if one.error]
    assert not errors, errors[0]
    return [one for each in rendered.values() for one in each.objects]


def of_variant(rendered: Mapping[ResourceId, Rendered], kind: str) -> Object:
    return next(one for one in objects(rendered) if one["kind"] == kind and owner(one) and "-" in owner(one).name)  # type: ignore[union-attr]


def failed(rendered: Mapping[ResourceId, Rendered]) -> dict[str, str]:
    return {str(resource): str(one.error) for resource, one in rendered.items() if one.error}


def broken(*tenants: str) -> Platform:
    """A platform whose overlays for these tenants are nothing for the chart."""
    overlays = "".join(f"  {tenant}: {{values: {{toleration: []}}}}\n" for tenant in tenants)
    others = "".join(f"  {tenant}: {{}}\n" for tenant in sorted({*"abcdefg"} - {*tenants}))
    return platform(f"tenants:\n{overlays}{others}")


def test_everything_desired_is_rendered_under_its_own_id(tmp_path: Path) -> None:
    wanted = desired("fraud/churn", "fraud/risk", "credit/churn")
    rendered = Renderer(platform(), tmp_path).render(wanted, monitors=True)
    assert set(rendered) == {*wanted.variants, *wanted.deployments}
    for resource, one in rendered.items():
        assert one.objects
        assert {owner(each) for each in one.objects} == {resource}
        assert {each["metadata"]["namespace"] for each in one.objects} == {f"kubeserve-{resource.tenant}"}
    for each in objects(rendered):
        assert_valid(each)


def test_nothing_is_added_to_what_the_chart_made(tmp_path: Path) -> None:
    for each in objects(Renderer(platform(), tmp_path).render(desired("fraud/churn"))):
        assert not each["metadata"].get("annotations")
        assert not each["spec"].get("template", {}).get("metadata", {}).get("annotations")


def test_what_is_unchanged_needs_no_helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = desired("fraud/churn", "credit/risk")
    first = Renderer(platform(), tmp_path).render(wanted)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    assert Renderer(platform(), tmp_path).render(wanted) == first
    with pytest.raises(HelmMissing, match="Helm was not found"):
        Renderer(platform(), tmp_path).render(changed(wanted, "credit", cpu_millicores=250))


def test_only_what_changed_is_given_to_helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = desired("fraud/churn", "credit/risk")
    Renderer(platform(), tmp_path).render(wanted)
    log = tmp_path / "batches"
    recorder = tmp_path / "recorder"
    recorder.write_text(f'#!/bin/sh\nfor a in "$@"; do case $a in batch=*) cat "${{a#batch=}}" >> {log};; esac; done\n')
    with recorder.open("a") as script:
        script.write(f'exec {helm()} "$@"\n')
    recorder.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(recorder))
    objects(Renderer(platform(), tmp_path).render(changed(wanted, "credit", cpu_millicores=250)))
    batch = orjson.loads(log.read_bytes())
    assert [entry["tenant"] for entry in batch["variants"]] == ["credit"]
    assert batch["deployments"] == []


@pytest.mark.parametrize(
    "more",
    ["kubernetes: {host: models.example.org}", "kubernetes: {values: {threads: 2}}", "limits: {artifact: 1Gi}"],
)
def test_another_platform_is_rendered_anew(more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = desired("fraud/churn")
    Renderer(platform(), tmp_path).render(wanted)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(HelmMissing):
        Renderer(platform(more), tmp_path).render(wanted)


@pytest.mark.parametrize("culprit", ["a", "d", "g"])
def test_a_tenant_that_can_not_be_rendered_stands_alone(culprit: str, tmp_path: Path) -> None:
    wanted = desired(*(f"{tenant}/churn" for tenant in "abcdefg"))
    rendered = Renderer(broken(culprit), tmp_path).render(wanted)
    errors = failed(rendered)
    assert {ResourceId.parse(resource).tenant for resource in errors} == {culprit}
    assert "toleration" in errors[f"deployment/{culprit}/churn"]


def test_several_culprits_are_each_found(tmp_path: Path) -> None:
    wanted = desired(*(f"{tenant}/churn" for tenant in "abcdef"))
    errors = failed(Renderer(broken("b", "e"), tmp_path).render(wanted))
    assert {ResourceId.parse(resource).tenant for resource in errors} == {"b", "e"}


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    wanted = desired("a/churn", "b/churn")
    assert len(failed(Renderer(broken("a"), tmp_path).render(wanted))) == 2
    assert not failed(Renderer(broken(), tmp_path).render(wanted))


def test_what_is_wrong_for_all_is_found_with_one_more_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    counter = tmp_path / "counter"
    counter.write_text(f'#!/bin/sh\necho "$1" >> {calls}\nexec {helm()} "$@"\n')
    counter.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(counter))
    wanted = desired(*(f"team-{number}/churn" for number in range(8)))
    rendered = Renderer(platform("kubernetes: {values: {probes: {liveness: {periodSeconds: -1}}}}"), tmp_path).render(
        wanted
    )
    assert len(failed(rendered)) == len(rendered)
    assert calls.read_text().split().count("template") == 2


def test_a_tenants_overlay_changes_that_tenant_alone(tmp_path: Path) -> None:
    more = "kubernetes: {values: {priorityClassName: low}}\ntenants: {a: {values: {priorityClassName: high}}, b: {}}"
    rendered = Renderer(platform(more), tmp_path).render(desired("a/churn", "b/churn"))
    classes = {
        one["metadata"]["namespace"]: one["spec"]["template"]["spec"]["priorityClassName"]
        for one in objects(rendered)
        if one["kind"] == "Deployment"
    }
    assert classes == {"kubeserve-a": "high", "kubeserve-b": "low"}


def test_an_overlay_that_leaves_the_fence_is_refused_by_its_template(tmp_path: Path) -> None:
    more = "tenants: {a: {values: {securityContext: {readOnlyRootFilesystem: false}}}, b: {}}"
    rendered = Renderer(platform(more), tmp_path).render(desired("a/churn", "b/churn"))
    [(resource, error)] = failed(rendered).items()
    assert resource.startswith("variant/a/churn-")
    assert "model-serving/templates/deployment.yaml" in error
    assert "readOnlyRootFilesystem" in error


def test_labels_of_an_overlay_can_not_take_our_place(tmp_path: Path) -> None:
    more = "tenants: {a: {values: {labels: {kubeserve.io/tenant: b}}}, b: {}}"
    rendered = Renderer(platform(more), tmp_path).render(desired("a/churn", "b/churn"))
    assert {ResourceId.parse(resource).tenant for resource in failed(rendered)} == {"a"}


def test_what_is_too_large_is_one_resources_error(tmp_path: Path) -> None:
    env = {f"V{number}": "x" * 32_000 for number in range(40)}
    rendered = Renderer(platform(), tmp_path).render(changed(desired("a/churn", "b/churn"), "a", env=env))
    [(resource, error)] = failed(rendered).items()
    assert resource.startswith("variant/a/churn-")
    assert "Too large for Kubernetes" in error


def test_two_resources_never_share_an_object(tmp_path: Path) -> None:
    wanted = desired("a/churn")
    [variant] = wanted.variants
    both = graph({"a/churn": "v1", f"a/{variant.name}": "v1", "a/risk": "v1"})
    errors = failed(Renderer(platform(), tmp_path).render(changed(both)))
    assert set(errors) == {str(variant), f"deployment/a/{variant.name}"}
    assert "Service kubeserve-a/" in errors[str(variant)]


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
SLYLY = st.sampled_from(
    ["{{ .Values }}", "\n---\n# Source: x\n", "$(HOME)", "'\"", "\u2028", "\x85", "\ufeff", "yes", "1e3"]
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(string.ascii_uppercase, min_size=1, max_size=5), PRINTABLE | SLYLY, min_size=5))
def test_any_text_reaches_the_environment_as_it_is(tmp_path: Path, env: dict[str, str]) -> None:
    rendered = Renderer(platform(), tmp_path).render(desired("fraud/churn", env=env))
    [server] = of_variant(rendered, "Deployment")["spec"]["template"]["spec"]["containers"]
    found = {each["name"]: each.get("value", "").replace("$$", "$") for each in server["env"]}
    assert {name: found[name] for name in env} == env


def test_autoscaling_follows_the_replicas(tmp_path: Path) -> None:
    wanted = desired("fraud/churn", replicas=Replicas(2, 6))
    scaler = of_variant(Renderer(platform(), tmp_path).render(wanted), "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 6)


def test_the_paths_of_a_deployment_are_those_that_its_server_answers(tmp_path: Path) -> None:
    rendered = Renderer(platform("kubernetes: {gateway: infra/public}"), tmp_path).render(desired("fraud/churn"))
    route = next(one for one in objects(rendered) if one["kind"] == "HTTPRoute")
    [server] = of_variant(rendered, "Deployment")["spec"]["template"]["spec"]["containers"]
    prefixes = next(each["value"] for each in server["env"] if each["name"] == "KUBESERVE_PREFIXES")
    assert [match["path"]["value"] for match in route["spec"]["rules"][0]["matches"]] == prefixes.split(",")


def operators_chart(folder: Path, **templates: str) -> Path:
    """A chart of the operator's own, that began as a copy of ours."""
    chart = folder / "chart"
    shutil.copytree(own_chart(), chart)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: serving-our-way\nversion: 1.0.0\n")
    for name, text in templates.items():
        (chart / "templates" / f"{name}.yaml").write_text(text)
    return chart


def test_the_operators_chart_renders_variants_one_by_one(tmp_path: Path) -> None:
    operators_chart(tmp_path)
    renderer = Renderer(platform("kubernetes: {chart: chart}"), tmp_path / "cache", base=tmp_path)
    wanted = desired("fraud/churn", "credit/risk")
    rendered = renderer.render(wanted)
    assert len(objects(rendered)) == 8
    assert {owner(one) for one in objects(rendered)} == {*wanted.variants, *wanted.deployments}


def test_what_the_operators_chart_may_not_make_is_one_variants_error(tmp_path: Path) -> None:
    extra = """{{- if eq .Values.tenant "fraud" }}
apiVersion: v1
kind: Secret
metadata: {name: x}
{{- end }}
"""
    operators_chart(tmp_path, extra=extra)
    renderer = Renderer(platform("kubernetes: {chart: chart}"), tmp_path / "cache", base=tmp_path)
    rendered = renderer.render(desired("fraud/churn", "credit/risk"))
    [broken] = [one.error for one in rendered.values() if one.error]
    assert isinstance(broken, FenceError)
    assert "serving-our-way/templates/extra.yaml: Secret x" in broken.detail


def test_a_chart_that_is_not_there_is_told(tmp_path: Path) -> None:
    renderer = Renderer(platform("kubernetes: {chart: nowhere}"), tmp_path, base=tmp_path)
    with pytest.raises(RenderError, match="There is no chart"):
        renderer.render(desired("fraud/churn"))


def test_a_changed_chart_is_rendered_anew(tmp_path: Path) -> None:
    chart = operators_chart(tmp_path)
    renderer = Renderer(platform("kubernetes: {chart: chart}"), tmp_path / "cache", base=tmp_path)
    wanted = desired("fraud/churn")
    before = of_variant(renderer.render(wanted), "Deployment")
    pod = chart / "templates" / "_pod.tpl"
    pod.write_text(pod.read_text().replace("/health", "/ready"))
    assert of_variant(renderer.render(wanted), "Deployment") != before


def test_nothing_of_the_rendering_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    Renderer(platform(), tmp_path / "cache").render(desired("fraud/churn"))
    assert list((tmp_path / "tmp").iterdir()) == []
