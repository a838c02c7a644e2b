"""The objects of one tenant: a namespace under Pod Security `restricted`, its quota and limits, what its pods may
reach and be reached from, and the service account that they run as. Pure; applied by `target.py`.

Values are written in the API's canonical form ("2", not "2000m"), so that live equals rendered without a dry run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.identity import Object, marks
from reconciler.targets.kubernetes.objects.kinds import (
    ACCOUNT,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    ROLE_BINDING,
)
from specs.models.cluster import StoreAccess
from specs.models.grants import EgressRule, Quota, TenantGrant
from specs.models.platform import Platform, S3Store
from specs.models.quantities import format_cpu, format_memory

DEFAULT_QUOTA = Quota.model_validate({"cpu": "2", "memory": "4Gi", "pods": 5})
SERVICE_ACCOUNT = "kubeserve"
STORE_SECRET = "kubeserve-store"  # noqa: S105 - the name of one
PULL_SECRET = "kubeserve-pull"  # noqa: S105
STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
QUOTA = "kubeserve"
WRITER = "kubeserve-tenant"
"""The RoleBinding by which KubeServe may write in a tenant's namespace, and the ClusterRole that says what."""
COPIED = "kubeserve.io/copied-secrets"  # annotation: which Secrets of the operator, at which resourceVersion

DNS_PORTS = (53, 5353)
"""What the resolver's own pods listen on, which is what a policy sees; their Service always has 53."""

DEFAULT_CONTAINER_CPU = "100m"
DEFAULT_CONTAINER_MEMORY = "128Mi"

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


@dataclass(frozen=True, slots=True)
class SecretCopy:
    """A Secret that the operator made, to be copied into the tenant's namespace under another name."""

    source: str  # NAMESPACE/NAME
    name: str  # in the tenant's namespace
    type: str
    keys: tuple[str, ...]  # that it has to have


def namespace_of(platform: Platform, tenant: str) -> str:
    return f"{platform.kubernetes.namespace_prefix}{tenant}"


def quota_of(platform: Platform, tenant: str) -> Quota:
    """What the operator says, the default for what he doesn't."""
    grant = platform.tenants.get(tenant)
    given = grant.quota if grant else None
    if given is None:
        return DEFAULT_QUOTA
    missing = {
        "cpu_millicores": DEFAULT_QUOTA.cpu_millicores,
        "memory_bytes": DEFAULT_QUOTA.memory_bytes,
        "pods": DEFAULT_QUOTA.pods,
    }
    return given.model_copy(update={k: v for k, v in missing.items() if getattr(given, k) is None})


def secret_copies(platform: Platform, tenant: str) -> tuple[SecretCopy, ...]:
    """The operator's Secrets that this tenant's pods need."""
    access = _store_access(platform, tenant)
    found = []
    if access and access.secret:
        found.append(SecretCopy(access.secret, STORE_SECRET, "Opaque", STORE_KEYS))
    if platform.runtime.pull_secret:
        found.append(SecretCopy(platform.runtime.pull_secret, PULL_SECRET, "kubernetes.io/dockerconfigjson", ()))
    return tuple(found)


def tenant_objects(platform: Platform, tenant: str, secrets: Mapping[str, str]) -> tuple[Object, ...]:
    """In the order in which they are applied: the namespace first, and who may write in it; last, once Secrets were
    copied, the service account that tells which. `secrets`: NAMESPACE/NAME of the operator's Secrets ->
    resourceVersion, by which it shows that one has changed and has to be copied again."""
    grant = platform.tenants.get(tenant, TenantGrant())
    return (
        _namespace(platform, tenant),
        *_writer(platform, tenant),
        _object(platform, tenant, *RESOURCE_QUOTA, QUOTA, spec={"hard": _hard(quota_of(platform, tenant))}),
        _object(platform, tenant, *LIMIT_RANGE, QUOTA, spec={"limits": [_limit_range()]}),
        *(_object(platform, tenant, *NETWORK_POLICY, name, spec=spec) for name, spec in _policies(platform, grant)),
        _service_account(platform, tenant, secrets),
    )


def _namespace(platform: Platform, tenant: str) -> Object:
    labels = marks(platform.installation, tenant)
    labels |= {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {
        "apiVersion": NAMESPACE.api_version,
        "kind": NAMESPACE.kind,
        "metadata": {"name": namespace_of(platform, tenant), "labels": labels},
    }


def _writer(platform: Platform, tenant: str) -> Iterator[Object]:
    """KubeServe's own right to write here, and nowhere else; whoever has it anyway needs none."""
    account = platform.kubernetes.service_account
    if account is None:
        return
    namespace, _, name = account.partition("/")
    yield _object(
        platform,
        tenant,
        *ROLE_BINDING,
        WRITER,
        roleRef={"apiGroup": ROLE_BINDING.group, "kind": "ClusterRole", "name": WRITER},
        subjects=[{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    )


def _object(platform: Platform, tenant: str, api_version: str, kind: str, name: str, **content: JSON) -> Object:
    metadata = {
        "name": name,
        "namespace": namespace_of(platform, tenant),
        "labels": marks(platform.installation, tenant),
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def _hard(quota: Quota) -> dict[str, str]:
    found = {}
    if quota.cpu_millicores is not None:
        found["requests.cpu"] = format_cpu(quota.cpu_millicores)
    if quota.memory_bytes is not None:
        found["requests.memory"] = found["limits.memory"] = format_memory(quota.memory_bytes)
    if quota.pods is not None:
        found["pods"] = str(quota.pods)
    return found


def _limit_range() -> Object:
    amounts = {"cpu": DEFAULT_CONTAINER_CPU, "memory": DEFAULT_CONTAINER_MEMORY}
    return {"type": "Container", "default": amounts, "defaultRequest": amounts}


def _service_account(platform: Platform, tenant: str, secrets: Mapping[str, str]) -> Object:
    found = _object(platform, tenant, *ACCOUNT, SERVICE_ACCOUNT, automountServiceAccountToken=False)
    access = _store_access(platform, tenant)
    annotations = dict(access.service_account_annotations or {}) if access else {}
    copied = [f"{copy.source}@{secrets.get(copy.source, '')}" for copy in secret_copies(platform, tenant)]
    if copied:
        annotations[COPIED] = ",".join(copied)
    if annotations:
        found["metadata"]["annotations"] = annotations
    return found


def _store_access(platform: Platform, tenant: str) -> StoreAccess | None:
    grant = platform.tenants.get(tenant)
    own = grant.store_access if grant else None
    store = platform.artifact_store
    return own or (store.pod_access if isinstance(store, S3Store) else None)


def _policies(platform: Platform, grant: TenantGrant) -> Iterator[tuple[str, Object]]:
    everything: Object = {"podSelector": {}}
    yield "default-deny", {**everything, "policyTypes": ["Ingress", "Egress"]}
    yield "allow-dns", {**everything, "policyTypes": ["Egress"], "egress": [_dns()]}
    if isinstance(platform.artifact_store, S3Store):
        yield "allow-store", {**everything, "policyTypes": ["Egress"], "egress": [_store(platform.artifact_store)]}
    for rule in grant.egress:
        name = rule.name if isinstance(rule, EgressRule) else rule
        allowed = _rule(rule) if isinstance(rule, EgressRule) else _public(443)
        yield f"allow-{name}", {**everything, "policyTypes": ["Egress"], "egress": [allowed]}
    kubernetes = platform.kubernetes
    for name, source in (("gateway", _gateway_namespace(platform)), ("monitoring", kubernetes.monitoring_namespace)):
        if source:
            yield f"allow-{name}", {**everything, "policyTypes": ["Ingress"], "ingress": [{"from": [_in(source)]}]}


def _gateway_namespace(platform: Platform) -> str | None:
    """Where the gateway's proxies run: said, or where the Gateway itself is."""
    kubernetes = platform.kubernetes
    return kubernetes.gateway_namespace or (kubernetes.gateway.partition("/")[0] if kubernetes.gateway else None)


def _dns() -> Object:
    resolver = {**_in("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
    return {"to": [resolver], "ports": [_port(port, protocol) for port in DNS_PORTS for protocol in ("UDP", "TCP")]}


def _store(store: S3Store) -> Object:
    """The endpoint that pods use: an address, a Service of the cluster, or a public host."""
    url = urlsplit(store.pod_endpoint or store.endpoint or "https://s3.amazonaws.com")
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
