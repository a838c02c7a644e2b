"""The objects of one tenant: a namespace under Pod Security `restricted`, its quota and limits, its network policies,
and the service account that its pods run as. Pure; `planning/` compares them, `applying/` applies them.

Values are written in the API's canonical form ("2", not "2000m"), so that live equals rendered without a dry run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
from reconciler.targets.kubernetes.tenancy.network_policy import network_policies
from specs.models.cluster import StoreAccess
from specs.models.grants import Quota, TenantGrant
from specs.models.platform import Platform
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

DEFAULT_CONTAINER_CPU = "100m"
DEFAULT_CONTAINER_MEMORY = "128Mi"


@dataclass(frozen=True, slots=True)
class SecretCopy:
    """A Secret of the operator that is copied into the tenant's namespace under another name."""

    source: str  # NAMESPACE/NAME
    name: str  # in the tenant's namespace
    type: str
    keys: tuple[str, ...]  # that it has to have


def namespace_of(platform: Platform, tenant: str) -> str:
    return f"{platform.kubernetes.namespace_prefix}{tenant}"


def quota_of(platform: Platform, tenant: str) -> Quota:
    """The operator's quota, with the default for each amount that it leaves out."""
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
    """In the order in which they are applied: first the namespace and the right to write in it; last, after the
    Secrets were copied, the service account, which records their versions. `secrets`: NAMESPACE/NAME of the operator's
    Secrets -> resourceVersion; a changed one has to be copied again."""
    grant = platform.tenants.get(tenant, TenantGrant())
    return (
        _namespace(platform, tenant),
        *_writer(platform, tenant),
        _object(platform, tenant, *RESOURCE_QUOTA, QUOTA, spec={"hard": _hard(quota_of(platform, tenant))}),
        _object(platform, tenant, *LIMIT_RANGE, QUOTA, spec={"limits": [_limit_range()]}),
        *(
            _object(platform, tenant, *NETWORK_POLICY, name, spec=spec)
            for name, spec in network_policies(platform, grant)
        ),
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
    """KubeServe's own right to write in this namespace; not needed without a service account of its own."""
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
    return own or platform.artifact_store.pod_access
