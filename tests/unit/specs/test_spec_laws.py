"""Laws of the loader: it raises for nothing, loses nothing, and tells no secret."""

from __future__ import annotations

import string
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specs.loading.loader import Loaded, SpecFile, load_platform, load_tenants
from specs.models.platform import Platform, default_platform
from specs.models.tenant import TenantFile
from specs.names import RESERVED_TENANTS
from specs.problems import Severity, SpecErrors
from specs.syntax.scalars import taken_for
from tests.support.specs.texts import CHURN, HEAD, load, platform_with

quick = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])

labels = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True).filter(
    lambda name: not name.startswith("kube-") and name not in RESERVED_TENANTS and not taken_for(name)
)
versions = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda name: not taken_for(name)  # such as 1e5, which has to be quoted
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
words = st.sampled_from(
    [
        *["apiVersion", "kubeserve.io/v1", "tenant", "fraud", "models", "versions", "v1", "artifact", "sha256", "../x"],
        *["deployments", "churn", "model", "version", "traffic", "env", "TOKEN", "secret", "key", "replicas", "min"],
        *["max", "resources", "cpu", "memory", "512m", "checks", "inputs", "outputs", "on", "1.10"],
    ]
)
trees = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=4), inner, max_size=5),
    max_leaves=25,
)


def load_bytes(content: bytes, platform: Platform | None = None) -> Loaded:
    return load_tenants([SpecFile("kubeserve.yaml", content)], platform or default_platform())


def assert_sound(loaded: Loaded) -> None:
    """What is not loaded without an error is protected, and everything can be shown."""
    for problem in loaded.problems:
        assert problem.place is not None
        assert problem.summary
        assert problem.render().startswith(f"kubeserve.yaml:{problem.place.line}:{problem.place.column}: ")
    if not loaded.ok and not loaded.unreadable:
        assert loaded.broken or loaded.claimed
    assert not loaded.broken & set(loaded.tenants)


@quick
@given(st.binary(max_size=200))
def test_no_bytes_make_the_loader_raise(content: bytes) -> None:
    assert_sound(load_bytes(content))


@quick
@given(st.text(alphabet=st.sampled_from("ab:-?{}[],&*!|>'\"%@`#<~ \n\t\r.1e=\\"), max_size=60))
def test_no_text_makes_the_loader_raise(text: str) -> None:
    assert_sound(load_bytes(text.encode()))


@quick
@given(trees)
def test_no_data_makes_the_loader_raise(tree: Any) -> None:
    assert_sound(load_bytes(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")))


@quick
@given(st.dictionaries(words, trees, max_size=4), st.dictionaries(words, trees, max_size=4))
def test_no_entries_make_the_loader_raise(models: dict[str, Any], deployments: dict[str, Any]) -> None:
    spec = {"apiVersion": "kubeserve.io/v1", "tenant": "fraud", "models": models, "deployments": deployments}
    loaded = load_bytes(yaml.safe_dump(spec).encode())
    assert_sound(loaded)
    assert loaded.ok or "fraud" in loaded.broken


@quick
@given(trees)
def test_no_platform_makes_the_loader_raise_anything_but_problems(tree: Any) -> None:
    with pytest.raises(SpecErrors) as refused:
        load_platform("kubeserve.yaml", yaml.safe_dump(tree).encode("utf-8", "surrogatepass"))
    assert refused.value.problems


@quick
@given(st.text(alphabet=st.sampled_from("ab:-?{}[],&*!|>'\"%@`#<~ \n\t.1"), max_size=40))
def test_whatever_follows_a_plain_tenant_others_are_left_alone(text: str) -> None:
    platform = platform_with({"fraud": {"paths": ["**"]}, "payments": {"paths": ["elsewhere/**"]}})
    loaded = load_bytes((HEAD + text).encode(), platform)
    assert loaded.protected is not None
    assert "payments" not in loaded.protected


def deployments_of(models: dict[str, list[str]]) -> st.SearchStrategy[dict[str, Any]]:
    def deployment(model: str) -> st.SearchStrategy[dict[str, Any]]:
        served = st.sampled_from(models[model])
        traffic = st.builds(lambda first: {first: 100}, served)
        split = st.just({"version": models[model][0]}) | traffic.map(lambda weights: {"traffic": weights})
        rest = st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(1, 9) | st.just({"min": 1, "max": 3}),
                "resources": st.fixed_dictionaries(
                    {}, optional={"cpu": st.sampled_from(["500m", 2, 0.5]), "memory": st.sampled_from(["1Gi", "64M"])}
                ),
                "env": st.dictionaries(
                    st.from_regex(r"X[A-Z]{0,5}", fullmatch=True),
                    st.text(alphabet=string.printable[:95], max_size=9) | st.just({"secret": "hub", "key": "k"}),
                    max_size=3,
                ),
                "checks": st.lists(
                    st.builds(lambda rows: {"inputs": rows}, st.lists(st.lists(st.integers()), min_size=1, max_size=3)),
                    max_size=2,
                ),
                "timeouts": st.fixed_dictionaries({}, optional={"ready": st.sampled_from(["90s", "5m"])}),
            },
        )
        return st.builds(lambda a, b: {"model": model, **a, **b}, split, rest)

    return st.dictionaries(labels, st.sampled_from(sorted(models)).flatmap(deployment), max_size=4)


@st.composite
def honest_specs(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(
        st.dictionaries(labels, st.lists(versions, min_size=1, max_size=3, unique=True), min_size=1, max_size=3)
    )
    models = {
        model: {"versions": {version: {"artifact": f"{model}.onnx"} for version in its_versions}}
        for model, its_versions in names.items()
    }
    return {
        "apiVersion": "kubeserve.io/v1",
        "tenant": draw(labels),
        "models": models,
        "deployments": draw(deployments_of(names)),
    }


@quick
@given(honest_specs())
def test_an_honest_spec_is_loaded_as_it_is_and_written_as_it_was(spec: dict[str, Any]) -> None:
    loaded = load_bytes(yaml.safe_dump(spec, sort_keys=False).encode())
    assert [p.render() for p in loaded.problems if p.severity is Severity.ERROR] == []
    tenant = loaded.tenants[spec["tenant"]]
    expected = TenantFile.model_validate(spec)
    assert {name: each.spec for name, each in tenant.deployments.items()} == expected.deployments
    assert {
        name: {version: each.spec for version, each in model.versions.items()} for name, model in tenant.models.items()
    } == {name: model.versions for name, model in expected.models.items()}
    written = yaml.safe_dump(expected.model_dump(mode="json", by_alias=True, exclude_none=True)).encode()
    again = load_bytes(written).tenants[spec["tenant"]]
    assert again.deployments == tenant.deployments


secrets = st.text(alphabet=string.ascii_letters + string.digits, min_size=14, max_size=30).map(
    lambda text: "hunter" + text
)
templates = st.sampled_from(
    [
        "{{API_TOKEN: {}, B: %}}",
        "{{API_TOKEN: {}, 1B: x, C: }}",
        "{{API_TOKEN: [{}]}}",
        "{{A_SECRET: {{x: {}}}}}",
        "{{A_SECRET: {{secret: {}, key: {}}}, B: [}}",
        "{{PASSWORD: '{}', PASSWORD: {}}}",
        '{{PASSWORD: "{}"\n, KUBESERVE_X: a}}',
        "\n      MY_KEY:\n        {}\n      MY_KEY: x",
        "\n      MY_KEY: >-\n        {}\n        {}\n       bad: x",
        "\n      MY_KEY: !!str {}",
        "\n      URL: https://me:{}@host/x\n      B: [",
    ]
)


@quick
@given(templates, secrets)
def test_no_problem_ever_tells_a_secret(template: str, secret: str) -> None:
    env = template.replace("{}", secret).replace("{{", "{").replace("}}", "}")
    loaded = load(f"{CHURN}deployments:\n  churn:\n    model: churn\n    version: v9\n    env: {env}\n")
    shown = "\n".join(problem.render() for problem in loaded.problems) + repr(loaded.problems)
    assert loaded.problems
    assert secret not in shown


def test_an_honest_spec_of_five_megabytes_loads() -> None:
    story = "a long story " * 30
    models = "".join(
        f"  model-{n}:\n    versions:\n      v1: {{artifact: models/m{n}.joblib, description: {story}}}\n"
        for n in range(2500)
    )
    deployments = "".join(
        f"  d-{n}:\n    model: model-{n % 2500}\n    version: v1\n    resources: {{cpu: 500m, memory: 512Mi}}\n"
        f"    checks: [{{inputs: [[{', '.join(['0.125'] * 200)}]]}}]\n"
        for n in range(2500)
    )
    text = f"{HEAD}models:\n{models}deployments:\n{deployments}"
    assert len(text) > 4_500_000
    loaded = load(text)
    assert loaded.problems == ()
    assert len(loaded.tenants["fraud"].deployments) == 2500
