"""What a tenant's pods may reach, and what may reach them, as NetworkPolicies. Pure; part of a tenant's objects.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from reconciler.targets.kubernetes.objects.identity import Object
from specs.models.grants import EgressRule, TenantGrant
from specs.models.platform import Platform

DNS_PORTS = (53, 5353)
"""What the resolver's own pods listen on, which is what a policy sees; their Service always has 53."""

# Addresses that "public" leaves out: private, shared, link-local (metadata services), loopback, multicast,
# reserved, and what NAT64 translates to any of them.
PRIVATE_IPV4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
PRIVATE_IPV6 = ("::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "ff00::/8")


def network_policies(platform: Platform, grant: TenantGrant) -> Iterator[tuple[str, Object]]:
    """(name, spec) of each policy of a tenant: everything is denied but what these let through."""
    everything: Object = {"podSelector": {}}
    yield "default-deny", {**everything, "policyTypes": ["Ingress", "Egress"]}
    yield "allow-dns", {**everything, "policyTypes": ["Egress"], "egress": [_dns()]}
    if (url := platform.artifact_store.pod_url) is not None:
        yield "allow-store", {**everything, "policyTypes": ["Egress"], "egress": [_store(url)]}
    for rule in grant.egress:
        name = rule.name if isinstance(rule, EgressRule) else rule
        allowed = _rule(rule) if isinstance(rule, EgressRule) else _public(443)
        yield f"allow-{name}", {**everything, "policyTypes": ["Egress"], "egress": [allowed]}
    kubernetes = platform.kubernetes
    for name, source in (("gateway", _gateway_namespace(platform)), ("monitoring", kubernetes.monitoring_namespace)):
        if source:
            yield f"allow-{name}", {**everything, "policyTypes": ["Ingress"], "ingress": [{"from": [_in(source)]}]}


def _gateway_namespace(platform: Platform) -> str | None:
    """Where the gateway's proxies run: `gatewayNamespace`, else the namespace of the Gateway itself."""
    kubernetes = platform.kubernetes
    return kubernetes.gateway_namespace or (kubernetes.gateway.partition("/")[0] if kubernetes.gateway else None)


def _dns() -> Object:
    resolver = {**_in("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
    return {"to": [resolver], "ports": [_port(port, protocol) for port in DNS_PORTS for protocol in ("UDP", "TCP")]}


def _store(pod_url: str) -> Object:
    """What pods read artifacts from: an address, a Service of the cluster, or a public host."""
    url = urlsplit(pod_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    host = url.hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        parts = host.split(".")
        if len(parts) > 2 and parts[2] == "svc":  # the policy sees the pod's own port, not the Service's
            return {"to": [_in(parts[1])]}
        return _public(port)
    return {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], "ports": [_port(port)]}


def _rule(rule: EgressRule) -> Object:
    return {"to": [{"ipBlock": {"cidr": cidr}} for cidr in rule.cidrs], "ports": [_port(port) for port in rule.ports]}


def _public(port: int) -> Object:
    return {
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE_IPV4)}},
            {"ipBlock": {"cidr": "::/0", "except": list(PRIVATE_IPV6)}},
        ],
        "ports": [_port(port)],
    }


def _in(namespace: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def _port(number: int, protocol: str = "TCP") -> Object:
    return {"port": number, "protocol": protocol}
