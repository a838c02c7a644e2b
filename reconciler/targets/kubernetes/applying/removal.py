"""Removes a deployment's route, a variant or a tenant; called repeatedly until nothing is left.

Called by `rollout.py`. A tenant's access to the store goes before its namespace, and that takes the rest with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.model.resources import Kind, ResourceId
from reconciler.targets.kubernetes.applying.apply import remove_objects
from reconciler.targets.kubernetes.applying.orphans import leaves_orphans, orphans
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.objects.identity import (
    DEPLOYMENT,
    INSTALLATION,
    TENANT,
    VARIANT,
    Object,
    ObjectRef,
    marks,
    selector,
)
from reconciler.targets.kubernetes.objects.kinds import (
    ACCOUNT,
    NAMESPACE,
    POD,
    REMOVED_LAST,
    REPLICA_SET,
    SECRET,
    ApiKind,
    kinds_of,
)
from reconciler.targets.kubernetes.planning.observe import fingerprint, served
from reconciler.targets.kubernetes.tenancy.objects import PULL_SECRET, STORE_SECRET, namespace_of
from reconciler.targets.protocol import TargetError
from specs.models.platform import Platform

_RUNNING = (REPLICA_SET, POD)


@dataclass
class Remover:
    """Of one round."""

    kube: KubeClient
    platform: Platform
    _ending: set[ResourceId] = field(default_factory=set)
    """Variants of which only ReplicaSets and pods are left, which the garbage collector removes."""

    def remove(self, resource: ResourceId, seen: str | None) -> bool:
        """True once nothing is left. TargetError if it changed since it was seen, is not ours, or is in use."""
        if resource in self._ending:
            return self._has_ended(resource)
        namespace = self.kube.get(ObjectRef(*NAMESPACE, "", namespace_of(self.platform, resource.tenant)))
        if namespace is None:
            return True
        self._check_ours(namespace, resource)
        if resource.kind is Kind.TENANT:
            return self._remove_tenant(resource, namespace, seen)
        return self._remove_parts(resource, seen)

    def wanted_again(self, resource: ResourceId) -> None:
        """Forgets that a variant was being removed, because it was created again."""
        self._ending.discard(resource)

    def _remove_parts(self, resource: ResourceId, seen: str | None) -> bool:
        is_variant = resource.kind is Kind.VARIANT
        objects = self._objects(resource, kinds_of(resource.kind))
        if seen is not None:
            _check_seen(resource, objects, seen)
        if is_variant:  # first, because no listing would show that they are left
            namespace = namespace_of(self.platform, resource.tenant)
            remove_objects(self.kube, orphans(self.kube, namespace, self._selector(resource)))
        if leaves_orphans(objects):  # delete the labelled objects last, after the orphans are gone
            remove_objects(self.kube, (one for one in objects if not _goes_last(one)))
            return False
        if not remove_objects(self.kube, sorted(objects, key=_goes_last)):
            return False
        self._ending.add(resource)
        return self._has_ended(resource)

    def _has_ended(self, resource: ResourceId) -> bool:
        """Lists ReplicaSets before pods, because a ReplicaSet may create one more pod in between."""
        kinds = _RUNNING if resource.kind is Kind.VARIANT else ()
        if any(self._list(resource, [kind], self._selector(resource)) for kind in kinds):
            return False
        self._ending.discard(resource)
        return True

    def _remove_tenant(self, tenant: ResourceId, namespace: Object, seen: str | None) -> bool:
        if namespace["metadata"].get("deletionTimestamp"):
            return False
        objects = [namespace, *self._objects(tenant, (kind for kind in kinds_of(Kind.TENANT) if kind != NAMESPACE))]
        if seen is not None:
            _check_seen(tenant, objects, seen)
        self._check_empty(tenant)
        name = namespace["metadata"]["name"]
        secrets = [self.kube.metadata(ObjectRef(*SECRET, name, copy)) for copy in (STORE_SECRET, PULL_SECRET)]
        access = [one for one in objects if one["kind"] == ACCOUNT.kind]
        remove_objects(self.kube, [*(one for one in secrets if one and self._is_ours(one)), *access, namespace])
        return False

    def _check_ours(self, namespace: Object, resource: ResourceId) -> None:
        labels: Mapping[str, str] = namespace["metadata"].get("labels") or {}
        if not labels.items() >= marks(self.platform.installation, resource.tenant).items():
            whose = labels.get(INSTALLATION)
            whom = f"installation {whose!r}, tenant {labels.get(TENANT)!r}" if whose else "somebody else"
            raise TargetError("Not ours", f"Namespace {namespace['metadata']['name']} belongs to {whom}.")

    def _is_ours(self, one: Object) -> bool:
        return bool((one["metadata"].get("labels") or {}).get(INSTALLATION) == self.platform.installation)

    def _check_empty(self, tenant: ResourceId) -> None:
        labels = f"{selector(self.platform.installation, tenant.tenant)},{DEPLOYMENT}"
        left = self._list(tenant, kinds_of(Kind.VARIANT, Kind.DEPLOYMENT), labels)
        if left:
            named = ", ".join(sorted({one["metadata"]["labels"][DEPLOYMENT] for one in left}))
            raise TargetError("Tenant is not empty", f"{tenant.tenant} still has {named}.")

    def _objects(self, resource: ResourceId, kinds: Iterable[ApiKind]) -> list[Object]:
        return self._list(resource, kinds, self._selector(resource))

    def _list(self, resource: ResourceId, kinds: Iterable[ApiKind], labels: str) -> list[Object]:
        namespace = namespace_of(self.platform, resource.tenant)
        return [
            one
            for kind in served(self.kube, kinds)
            for one in self.kube.list(*kind, labels=labels, namespace=namespace)
        ]

    def _selector(self, resource: ResourceId) -> str:
        base = selector(self.platform.installation, resource.tenant)
        match resource.kind:
            case Kind.VARIANT:
                return f"{base},{VARIANT}={resource.name}"
            case Kind.DEPLOYMENT:
                return f"{base},{DEPLOYMENT}={resource.name},!{VARIANT}"
        return f"{base},!{DEPLOYMENT}"


def _check_seen(resource: ResourceId, objects: Collection[Object], seen: str) -> None:
    """Skips the fingerprint check for objects that are already terminating, because our own delete changed them."""
    going = any(one["metadata"].get("deletionTimestamp") for one in objects)
    if objects and not going and fingerprint(objects) != seen:
        raise TargetError("Changed since it was planned", f"{resource} is no longer what the plan saw: plan again.")


def _goes_last(one: Object) -> bool:
    return ObjectRef.of(one).api in REMOVED_LAST
