"""Several files define one tenant; a broken tenant stops only that tenant, and nothing is deleted because of it."""

from __future__ import annotations

import pytest

from specs.loading.loader import SpecFile, Unread, load_tenants
from specs.models.platform import default_platform
from specs.problems import Severity
from tests.support.specs.texts import HEAD, load, load_files, platform_with

MODELS = HEAD + "models: {churn: {versions: {v1: {artifact: ../a.joblib}}}}\n"
DEPLOYMENTS = HEAD + "deployments: {churn: {model: churn, version: v1}}\n"
PAYMENTS = "apiVersion: kubeserve.io/v1\ntenant: payments\nmodels: {m: {versions: {v1: {artifact: m.onnx}}}}\n"


def test_files_of_one_tenant_are_merged() -> None:
    loaded = load_files({"a/kubeserve.yaml": MODELS, "b/c/kubeserve.yaml": DEPLOYMENTS})
    assert loaded.problems == ()
    fraud = loaded.tenants["fraud"]
    assert fraud.files == ("a/kubeserve.yaml", "b/c/kubeserve.yaml")
    assert fraud.models["churn"].versions["v1"].file == "a/kubeserve.yaml"
    assert fraud.deployments["churn"].file == "b/c/kubeserve.yaml"
    assert fraud.deployments["churn"].spec.weights == {"v1": 100}


def test_documents_of_one_file_may_be_of_several_tenants() -> None:
    loaded = load_files({"kubeserve.yaml": f"{MODELS.replace('../', '')}---\n{PAYMENTS}---\n"})
    assert loaded.problems == ()
    assert set(loaded.tenants) == {"fraud", "payments"}


@pytest.mark.parametrize("group", ["models", "deployments"])
def test_a_name_defined_twice_names_both_places(group: str) -> None:
    twice = MODELS.replace("../", "") if group == "models" else DEPLOYMENTS
    files = {"a/kubeserve.yaml": twice, "b/kubeserve.yaml": twice, "kubeserve.yaml": MODELS.replace("../", "")}
    if group == "models":
        del files["kubeserve.yaml"]
    [problem] = load_files(files).problems
    assert problem.summary == "A name defined twice"
    column = 10 if group == "models" else 15
    assert str(problem.place) == f"b/kubeserve.yaml:3:{column}"
    assert f"'churn' is already defined at a/kubeserve.yaml:3:{column}." in problem.detail


def test_problems_are_in_the_order_of_the_files() -> None:
    bad = HEAD + "a: 1\nb: 2\n"
    loaded = load_files({"b/kubeserve.yaml": bad, "a/kubeserve.yaml": bad})
    assert [str(problem.place) for problem in loaded.problems] == [
        *["b/kubeserve.yaml:3:1", "b/kubeserve.yaml:4:1"],
        *["a/kubeserve.yaml:3:1", "a/kubeserve.yaml:4:1"],
    ]


def test_an_error_stops_its_tenant_only() -> None:
    loaded = load_files({"a/kubeserve.yaml": MODELS + "x: 1\n", "kubeserve.yaml": PAYMENTS})
    assert set(loaded.tenants) == {"payments"}
    assert loaded.broken == {"fraud"}
    assert loaded.protected == frozenset({"fraud"})
    assert not loaded.unreadable


def test_an_error_in_one_file_stops_all_files_of_its_tenant() -> None:
    loaded = load_files({"a/kubeserve.yaml": MODELS, "b/kubeserve.yaml": HEAD + "x: 1\n"})
    assert loaded.tenants == {}
    assert loaded.broken == {"fraud"}


def test_a_file_that_is_no_yaml_stops_the_tenant_that_its_text_names() -> None:
    loaded = load_files({"a/kubeserve.yaml": MODELS + "deployments: {\n", "kubeserve.yaml": PAYMENTS})
    assert loaded.broken == {"fraud"}
    assert set(loaded.tenants) == {"payments"}
    assert not loaded.unreadable


def test_what_could_not_be_read_causes_no_further_errors() -> None:
    loaded = load_files({"a/kubeserve.yaml": MODELS + "x: {\n", "b/kubeserve.yaml": DEPLOYMENTS})
    assert [problem.summary for problem in loaded.problems] == ["Not valid YAML"]
    assert loaded.broken == {"fraud"}


UNTOLD = {
    "it is empty": "",
    "it has comments only": "# nothing yet\n",
    "its documents are empty": "---\n---\n",
    "it has no tenant": "apiVersion: kubeserve.io/v1\nmodels: {}\n",
    "it is a list": "- a\n",
    "it is text": "hello\n",
    "its tenant is malformed": "apiVersion: kubeserve.io/v1\ntenant: Fraud\n",
    "its tenant is a number": "apiVersion: kubeserve.io/v1\ntenant: 7\n",
    "its tenant is not plain": "tenant: &t fraud\nx: {\n",
    "its tenant is written in braces": "{tenant: fraud, x: [\n",
    "one of its documents doesn't say": f"{PAYMENTS}---\nx: 1\n",
    "its tenant is read as nothing": "tenant: null\nx: {\n",
}


@pytest.mark.parametrize("text", UNTOLD.values(), ids=UNTOLD.keys())
def test_nothing_of_anybody_is_deleted_while_it_is_not_known_whose_a_file_is(text: str) -> None:
    loaded = load(text)
    assert loaded.unreadable
    assert loaded.protected is None
    assert not loaded.ok


@pytest.mark.parametrize("text", UNTOLD.values(), ids=UNTOLD.keys())
def test_where_tenants_are_listed_only_those_of_the_path_are_held(text: str) -> None:
    platform = platform_with(
        {"fraud": {"paths": ["teams/fraud/**"]}, "payments": {"paths": ["teams/payments/**", "teams/fraud/x.yaml"]}}
    )
    loaded = load(text, platform)
    assert not loaded.unreadable
    assert loaded.protected is not None
    assert "fraud" in loaded.protected


def test_a_file_with_its_tenant_twice_holds_both() -> None:
    loaded = load("apiVersion: kubeserve.io/v1\ntenant: fraud\ntenant: payments\n")
    assert loaded.broken == {"fraud", "payments"}


def test_an_empty_file_is_not_taken_for_a_wish_to_delete() -> None:
    [problem] = load("").problems
    assert problem.summary == "Empty spec"
    assert "nothing is applied or deleted because of it" in problem.detail


def test_a_tenant_may_ask_for_nothing() -> None:
    loaded = load(HEAD)
    assert loaded.ok
    assert loaded.tenants["fraud"].deployments == {}


def test_no_files_are_no_tenants_and_no_problem() -> None:
    loaded = load_tenants([], default_platform())
    assert loaded.ok
    assert loaded.tenants == {}
    assert loaded.protected == frozenset()


def test_a_tenant_may_speak_in_its_own_paths() -> None:
    platform = platform_with({"fraud": {"paths": ["teams/fraud/**"]}})
    assert load(HEAD, platform).ok


def test_a_file_outside_of_its_tenants_paths_is_refused_and_deletes_nothing() -> None:
    platform = platform_with({"fraud": {"paths": ["teams/fraud/**"]}, "other": {}})
    good = {"teams/fraud/kubeserve.yaml": MODELS}
    loaded = load_files({**good, "teams/other/kubeserve.yaml": HEAD + "deployments: {x: {model: none}}\n"}, platform)
    [problem] = loaded.problems
    assert problem.summary == "Outside of the tenant's paths"
    assert "Tenant 'fraud' may only have specs at teams/fraud/**." in problem.detail
    assert str(problem.place) == "teams/other/kubeserve.yaml:2:9"
    assert set(loaded.tenants) == {"fraud"}, "nobody else can break it"
    assert loaded.broken == frozenset()
    assert loaded.protected == frozenset({"fraud"})


def test_a_tenant_that_the_operator_doesnt_list_is_refused() -> None:
    platform = platform_with({"fraud": {}, "payments": {"paths": ["elsewhere/**"]}})
    loaded = load("apiVersion: kubeserve.io/v1\ntenant: fruad\n", platform)
    [problem] = loaded.problems
    assert problem.summary == "Unknown tenant"
    assert "platform.yaml lists the tenants that there are" in problem.detail
    assert "Did you mean 'fraud'?" in problem.detail
    assert loaded.protected == frozenset({"fraud"}), "it may be what was meant"


def test_a_removed_tenant_that_speaks_is_an_error_and_removed_all_the_same() -> None:
    platform = platform_with({"fraud": {"state": "removed"}, "payments": {}})
    loaded = load(HEAD, platform)
    [problem] = loaded.problems
    assert (problem.summary, problem.severity) == ("Removed tenant", Severity.ERROR)
    assert loaded.tenants == {}
    assert loaded.protected == frozenset()


def test_a_removed_tenants_unreadable_file_does_not_keep_it() -> None:
    platform = platform_with({"fraud": {"state": "removed"}, "payments": {"paths": ["elsewhere/**"]}})
    assert load(HEAD + "x: {\n", platform).protected == frozenset()


def test_files_of_several_sources_keep_their_source() -> None:
    files = [
        SpecFile("kubeserve.yaml", MODELS.replace("../", "").encode(), "one"),
        SpecFile("kubeserve.yaml", DEPLOYMENTS.encode(), "two"),
    ]
    fraud = load_tenants(files, default_platform()).tenants["fraud"]
    assert fraud.models["churn"].source == "one"
    assert fraud.models["churn"].versions["v1"].source == "one"
    assert fraud.deployments["churn"].source == "two"


FOLDER = Unread("Symlinks are refused", "It is not followed.", is_folder=True)
FILE = Unread("Symlinks are refused", "It is not followed.")


def test_a_folder_that_is_not_read_protects_everybody_where_no_tenants_are_listed() -> None:
    files = [SpecFile("kubeserve.yaml", PAYMENTS.encode()), SpecFile("services/b", b"", unread=FOLDER)]
    loaded = load_tenants(files, default_platform())
    assert [problem.render() for problem in loaded.problems] == [
        "services/b: error: Symlinks are refused\n  It is not followed."
    ]
    assert loaded.protected is None
    assert set(loaded.tenants) == {"payments"}, "the others are applied all the same"


def test_a_folder_that_is_not_read_protects_the_tenants_whose_paths_lead_into_it() -> None:
    paths = {"fraud": ["services/b/**"], "search": ["services/*/*/kubeserve.yaml"], "payments": ["pay/**"]}
    tenants: dict[str, object] = {name: {"paths": globs} for name, globs in paths.items()}
    tenants["gone"] = {"state": "removed"}
    files = [SpecFile("pay/kubeserve.yaml", PAYMENTS.encode()), SpecFile("services/b", b"", unread=FOLDER)]
    loaded = load_tenants(files, platform_with(tenants))
    assert loaded.protected == frozenset({"fraud", "search"})
    assert not loaded.broken
    assert len(loaded.problems) == 1


def test_a_folder_where_nobody_may_speak_is_nobodys_problem() -> None:
    loaded = load_tenants([SpecFile("vendor/b", b"", unread=FOLDER)], platform_with({"fraud": {"paths": ["teams/**"]}}))
    assert (loaded.problems, loaded.protected) == ((), frozenset())


def test_a_spec_that_is_not_read_breaks_the_tenant_whose_place_it_is() -> None:
    platform = platform_with({"fraud": {"paths": ["fraud/**"]}, "search": {"paths": ["search/**"]}})
    loaded = load_tenants([SpecFile("fraud/kubeserve.yaml", b"", unread=FILE)], platform)
    assert loaded.broken == {"fraud"}
    assert load_tenants([SpecFile("kubeserve.yaml", b"", unread=FILE)], default_platform()).protected is None
