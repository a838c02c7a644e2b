"""What a round is narrowed to: whole tenants, single deployments, or everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.resources import Kind, ResourceId, Scope, deployment_id, tenant_id, version_id
from tests.support.engine.graphs import graph

NAMES = st.sampled_from(["fraud", "search", "fraud/churn", "fraud/risk", "search/rank"])


def test_nothing_chosen_is_everything() -> None:
    assert deployment_id("fraud", "churn") in Scope()
    assert Scope().is_whole("fraud")
    assert Scope().tenants == frozenset()


def test_a_deployment_brings_its_tenant_along_but_not_its_siblings() -> None:
    scope = Scope.of("fraud/churn", "search")
    assert deployment_id("fraud", "churn") in scope
    assert deployment_id("fraud", "risk") not in scope
    assert tenant_id("fraud") in scope
    assert not scope.is_whole("fraud")
    assert deployment_id("search", "anything") in scope
    assert version_id("search", "m", "v1") in scope
    assert tenant_id("other") not in scope


@given(st.lists(NAMES))
def test_a_scope_is_the_union_of_its_names(names: list[str]) -> None:
    scope = Scope.of(*names)
    assert Scope.of(*scope.names) == scope
    for kind, tenant, name in ((Kind.DEPLOYMENT, t, n) for t in ("fraud", "search") for n in ("churn", "risk", "rank")):
        resource = ResourceId(kind, tenant, name)
        assert (resource in scope) is (not names or any(resource in Scope.of(one) for one in names))


@pytest.mark.parametrize("name", ["", "/", "fraud/", "/churn", "a/b/c"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name or "^$"):
        Scope.of(name)


def test_the_graph_of_some_tenants_is_theirs_alone() -> None:
    whole = graph({"fraud/churn": "v1", "search/rank": "v2"})
    part = whole.of_tenants(frozenset({"search"}))
    assert set(part.tenants) == {tenant_id("search")}
    assert {r.tenant for group in (part.versions, part.deployments, part.variants) for r in group} == {"search"}
    assert whole.of_tenants(frozenset()) is whole
