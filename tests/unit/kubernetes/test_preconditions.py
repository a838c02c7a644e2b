"""What a plan refuses because of the cluster, and that resources which share a cause report it in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.resources import deployment_id, tenant_id
from reconciler.targets.kubernetes.objects.identity import Object, marks
from reconciler.targets.kubernetes.tenancy.preconditions import Surroundings, refusals
from specs.models.platform import Platform
from tests.support.engine.graphs import graph

DESIRED = graph({"fraud/a": "v1", "fraud/b": "v1", "risk/c": "v1"})
FRAUD, RISK = tenant_id("fraud"), tenant_id("risk")
A, B, C = deployment_id("fraud", "a"), deployment_id("fraud", "b"), deployment_id("risk", "c")
KEYS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})


def platform(**changes: Any) -> Platform:
    return Platform.model_validate(
        {
            "apiVersion": "kubeserve.io/v1",
            "installation": "prod",
            "target": "kubernetes",
            "artifactStore": {"type": "s3", "bucket": "models"},
            "runtime": {"image": "runtime:1"},
            "kubernetes": {"gateway": "infra/public"},
            "tenants": {"fraud": {"storeAccess": {"secret": "ops/fraud"}}, "risk": {}},
            **changes,
        }
    )


def around(
    namespaces: Mapping[str, Object] | None = None, keys: frozenset[str] = KEYS, *, has_gateway: bool = True
) -> Surroundings:
    return Surroundings(lambda *_: True, namespaces or {}, {"ops/fraud": "1"}, {"ops/fraud": keys}, has_gateway)


def test_nothing_is_refused_where_all_is_there() -> None:
    assert refusals(DESIRED, platform(), around()) == {}


def test_a_secret_of_the_operator_that_lacks_a_key_is_an_error_of_the_plan() -> None:
    found = refusals(DESIRED, platform(), around(keys=frozenset({"AWS_ACCESS_KEY_ID", "aws_secret_access_key"})))
    assert found.keys() == {FRAUD, A, B}
    assert found[FRAUD].summary == "A Secret of the operator lacks a key"
    assert "ops/fraud has no AWS_SECRET_ACCESS_KEY, with which pods read the store" in found[FRAUD].detail


def test_a_missing_gateway_is_an_error_of_every_deployment_and_of_no_tenant() -> None:
    found = refusals(DESIRED, platform(), around(has_gateway=False))
    assert found.keys() == {A, B, C}
    assert {error.trouble for error in found.values()} == {found[A].trouble}
    assert "Gateway infra/public" in found[A].detail


def test_what_is_wrong_with_a_namespace_is_the_same_trouble_of_the_tenant_and_its_deployments() -> None:
    foreign = {"metadata": {"name": "kubeserve-fraud", "labels": {}}}
    closing = {"metadata": {"name": "kubeserve-risk", "labels": marks("prod", "risk"), "deletionTimestamp": "now"}}
    found = refusals(DESIRED, platform(), around({"kubeserve-fraud": foreign, "kubeserve-risk": closing}))
    assert found.keys() == {FRAUD, A, B, RISK, C}
    assert found[A].trouble == found[B].trouble == found[FRAUD].trouble
    assert found[C].trouble == found[RISK].trouble
    assert (found[A].summary, found[C].summary) == ("Namespace belongs to somebody else", "Namespace is being deleted")
