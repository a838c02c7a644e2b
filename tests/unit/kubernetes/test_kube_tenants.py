"""The objects that fence a tenant in."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.tenancy.objects import quota_of, secret_copies, tenant_objects
from specs.models.platform import Platform
from tests.support.kubernetes.bench import platform as kubernetes_platform


def platform(**changes: Any) -> Platform:
    return kubernetes_platform("test", "t-", **changes)


def objects(platform: Platform, kind: str) -> dict[str, Object]:
    found = tenant_objects(platform, "fraud", {})
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def policies(**changes: Any) -> dict[str, Any]:
    return {name: one["spec"] for name, one in objects(platform(**changes), "NetworkPolicy").items()}


def test_all_carry_the_mark_and_lie_in_the_tenants_namespace() -> None:
    for one in tenant_objects(platform(), "fraud", {}):
        labels = one["metadata"]["labels"]
        assert labels["kubeserve.io/installation"] == "test"
        assert labels["kubeserve.io/tenant"] == "fraud"
        assert one["metadata"].get("namespace", "t-fraud") == "t-fraud"


def test_the_namespace_is_first_and_restricted() -> None:
    first = tenant_objects(platform(), "fraud", {})[0]
    assert (first["kind"], first["metadata"]["name"]) == ("Namespace", "t-fraud")
    assert first["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_quota_is_what_the_operator_says_and_the_default_for_what_he_does_not() -> None:
    assert objects(platform(), "ResourceQuota")["kubeserve"]["spec"]["hard"] == {
        "requests.cpu": "2",
        "requests.memory": "4Gi",
        "limits.memory": "4Gi",
        "pods": "5",
    }
    own = quota_of(platform(tenants={"fraud": {"quota": {"cpu": "8"}}}), "fraud")
    assert (own.cpu_millicores, own.memory_bytes, own.pods) == (8000, 4 * 2**30, 5)


def test_nothing_goes_in_or_out_but_what_is_named() -> None:
    found = policies()
    assert found.keys() == {"default-deny", "allow-dns", "allow-store"}
    assert found["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (dns,) = found["allow-dns"]["egress"]
    assert [port["port"] for port in dns["ports"]] == [53, 53, 5353, 5353]


def test_the_package_index_means_public_addresses_on_443() -> None:
    found = policies(tenants={"fraud": {"egress": ["package-index"]}})["allow-package-index"]
    (rule,) = found["egress"]
    assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]
    for address, allowed in {
        "151.101.0.223": True,
        "169.254.169.254": False,
        "10.0.0.1": False,
        "172.20.0.1": False,
        "192.168.1.1": False,
        "100.64.0.1": False,
        "127.0.0.1": False,
        "2a04:4e42::223": True,
        "fd00:ec2::254": False,
        "fe80::1": False,
        "::1": False,
        "64:ff9b::a00:1": False,
    }.items():
        assert _allows(rule["to"], address) is allowed, address


def test_a_named_rule_opens_its_networks_and_ports_alone() -> None:
    rule = {"name": "hub", "cidrs": ["203.0.113.0/24"], "ports": [443, 8443]}
    found = policies(tenants={"fraud": {"egress": [rule]}})["allow-hub"]["egress"]
    assert found == [
        {
            "to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
            "ports": [{"port": 443, "protocol": "TCP"}, {"port": 8443, "protocol": "TCP"}],
        }
    ]


@pytest.mark.parametrize(
    ("endpoint", "to", "port"),
    [
        ("http://10.85.0.1:9000", {"ipBlock": {"cidr": "10.85.0.1/32"}}, 9000),
        ("https://[2001:db8::1]", {"ipBlock": {"cidr": "2001:db8::1/128"}}, 443),
        (
            "http://s3.storage.svc:9000",
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "storage"}}},
            None,
        ),
    ],
)
def test_the_store_is_opened_where_pods_find_it(endpoint: str, to: Any, port: int | None) -> None:
    store = {"type": "s3", "bucket": "models", "endpoint": "https://elsewhere.example.org", "podEndpoint": endpoint}
    (rule,) = policies(artifactStore=store)["allow-store"]["egress"]
    assert rule["to"] == [to]
    assert [p["port"] for p in rule.get("ports", [])] == ([port] if port else [])


def test_the_gateways_and_the_monitorings_namespaces_come_in() -> None:
    kubernetes = {"routing": "gateway", "gateway": "platform/public", "monitoringNamespace": "monitoring"}
    found = policies(kubernetes=kubernetes)
    for name, namespace in (("allow-gateway", "platform"), ("allow-monitoring", "monitoring")):
        (rule,) = found[name]["ingress"]
        chosen = rule["from"][0]["namespaceSelector"]["matchLabels"]
        assert chosen == {"kubernetes.io/metadata.name": namespace}


def test_a_tenants_own_access_comes_before_what_all_share() -> None:
    store = {"type": "s3", "bucket": "models", "podAccess": {"secret": "system/shared"}}
    own = {"fraud": {"storeAccess": {"secret": "system/fraud"}}, "risk": {}}
    made = platform(artifactStore=store, tenants=own)
    assert [(c.source, c.name) for c in secret_copies(made, "fraud")] == [("system/fraud", "kubeserve-store")]
    assert [c.source for c in secret_copies(made, "risk")] == ["system/shared"]


def test_access_by_annotations_needs_no_secret() -> None:
    store = {
        "type": "s3",
        "bucket": "models",
        "podAccess": {"serviceAccountAnnotations": {"example.org/role": "reader"}},
    }
    made = platform(artifactStore=store)
    assert secret_copies(made, "fraud") == ()
    account = objects(made, "ServiceAccount")["kubeserve"]
    assert account["metadata"]["annotations"] == {"example.org/role": "reader"}
    assert account["automountServiceAccountToken"] is False


def test_a_secret_that_changed_shows_by_its_version_and_nothing_else() -> None:
    store = {"type": "s3", "bucket": "models", "podAccess": {"secret": "system/shared"}}
    made = platform(artifactStore=store)
    one, other = (tenant_objects(made, "fraud", {"system/shared": version})[-1] for version in ("7", "8"))
    assert one["kind"] == "ServiceAccount"
    assert one != other
    assert one["metadata"]["annotations"] == {"kubeserve.io/copied-secrets": "system/shared@7"}


def _allows(peers: list[Any], address: str) -> bool:
    found = ip_address(address)
    for peer in peers:
        block = peer["ipBlock"]
        network = ip_network(block["cidr"])
        if found.version == network.version and found in network:
            return not any(found in ip_network(excepted) for excepted in block["except"])
    return False
