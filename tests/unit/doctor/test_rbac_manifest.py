"""The manifest that an administrator applies is the list that the doctor asks for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

import yaml

from reconciler.model.resources import Kind
from reconciler.targets.kubernetes.objects.kinds import KINDS, ApiKind, ObjectKind
from reconciler.targets.kubernetes.tenancy.permissions import (
    PERMISSIONS,
    OperatorSecret,
    Permission,
    Within,
    manifest,
    operator_secrets,
    permissions,
)
from specs.models.platform import Platform, default_platform

PLATFORM = Platform.model_validate(
    {
        "apiVersion": "kubeserve.io/v1",
        "target": "kubernetes",
        "artifactStore": {"type": "s3", "bucket": "models", "podAccess": {"secret": "kubeserve/store-read"}},
        "runtime": {"image": "runtime:1", "pullSecret": "images/registry"},
        "kubernetes": {"namespace": "home", "serviceAccount": "ops/reconciler"},
        "tenants": {
            "fraud": {"storeAccess": {"secret": "kubeserve/store-fraud"}},
            "search": {"storeAccess": {"serviceAccountAnnotations": {"example.org/role": "models"}}},
            "gone": {"storeAccess": {"secret": "kubeserve/store-read"}, "state": "removed"},
        },
    }
)


def test_the_committed_manifest_is_that_of_a_platform_that_says_nothing() -> None:
    text = files("templates").joinpath("rbac/kubeserve.yaml").read_text()
    assert list(yaml.safe_load_all(text)) == manifest(default_platform())


def test_every_reason_stands_in_the_committed_manifest() -> None:
    text = files("templates").joinpath("rbac/kubeserve.yaml").read_text()
    assert [permission.why for permission in PERMISSIONS if f"# {permission.why}\n" not in text] == []


def allowed(rules: Iterable[Permission], within: Within, verb: str) -> set[tuple[str, str]]:
    """(group, plural) of everything that may be done to any object of a kind."""
    found = [rule for rule in rules if rule.within is within and verb in rule.verbs and not rule.names]
    return {(rule.group, resource) for rule in found for resource in rule.resources}


def test_every_kind_can_be_listed_and_all_but_namespaces_and_the_way_in_can_be_written_in_a_tenants_namespace() -> None:
    kinds = {(kind.api.group, kind.plural) for kind in KINDS}
    assert kinds - allowed(PERMISSIONS, Within.CLUSTER, "list") == set()
    entry = {("", "namespaces"), ("rbac.authorization.k8s.io", "rolebindings")}
    for verb in ("get", "create", "patch", "delete"):
        assert kinds - entry - allowed(PERMISSIONS, Within.TENANT, verb) == set()


def test_a_kind_that_is_added_to_the_table_is_allowed_as_the_table_says() -> None:
    new = ObjectKind(ApiKind("example.org/v1", "Scaler"), "scalers", frozenset({Kind.VARIANT}), "Scales.", watched=True)
    before, after = set(permissions(KINDS)), set(permissions((*KINDS, new)))
    assert before < after
    assert {(rule.within, rule.group, rule.resources, rule.verbs) for rule in after - before} == {
        (Within.CLUSTER, "example.org", ("scalers",), ("list", "watch")),
        (Within.TENANT, "example.org", ("scalers",), ("get", "create", "patch", "delete")),
    }


def test_no_secret_is_allowed_but_by_its_name() -> None:
    rules = [rule for one in manifest(PLATFORM) for rule in one.get("rules", ()) if "secrets" in rule["resources"]]
    assert all(rule["resourceNames"] and "list" not in rule["verbs"] for rule in rules)
    assert len(rules) == 3


def test_each_secret_that_the_platform_names_is_read_where_it_is() -> None:
    assert operator_secrets(PLATFORM) == (
        OperatorSecret("images", "registry"),
        OperatorSecret("kubeserve", "store-fraud"),
        OperatorSecret("kubeserve", "store-read"),
    )
    roles = [one for one in manifest(PLATFORM) if one["metadata"]["name"].endswith("-secrets")]
    assert [(one["kind"], one["metadata"]["namespace"]) for one in roles] == [
        ("Role", "images"),
        ("RoleBinding", "images"),
        ("Role", "kubeserve"),
        ("RoleBinding", "kubeserve"),
    ]
    assert roles[2]["rules"][0]["resourceNames"] == ["store-fraud", "store-read"]


def test_all_is_bound_to_the_account_that_the_platform_names() -> None:
    bindings = [one for one in manifest(PLATFORM) if "subjects" in one]
    assert {(s["namespace"], s["name"]) for one in bindings for s in one["subjects"]} == {("ops", "reconciler")}
