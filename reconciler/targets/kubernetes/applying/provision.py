"""A tenant's namespace and its objects, without which nothing can run: read before the plan, provisioned by `ensure`.

Called by `rollout.py`. The operator's Secrets are read by name and written into the tenant's namespace; they show
nowhere else.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from reconciler.model.resources import Desired
from reconciler.targets.kubernetes.applying.apply import Applier
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, Objects, marks
from reconciler.targets.kubernetes.objects.kinds import ACCOUNT, NAMESPACE, ROLE_BINDING, SECRET
from reconciler.targets.kubernetes.planning.observe import gateway_exists, objects_of
from reconciler.targets.kubernetes.planning.payload import Payload
from reconciler.targets.kubernetes.tenancy.objects import SERVICE_ACCOUNT, SecretCopy, namespace_of, secret_copies
from reconciler.targets.kubernetes.tenancy.preconditions import Surroundings, lacking_keys, unusable_namespace
from reconciler.targets.protocol import Live, TargetError
from specs.models.platform import Platform

READING_THREADS = 4
POLL_SECONDS = 0.05

_ENTRY = (NAMESPACE.kind, ROLE_BINDING.kind)
"""Kinds that must exist before anything else can be written."""


@dataclass
class Provisioner:
    """Of one round."""

    kube: KubeClient
    platform: Platform
    applier: Applier
    _whole: set[str] = field(default_factory=set)  # tenants whose Secrets are known to be there
    _fresh: set[str] = field(default_factory=set)  # tenants whose namespace this round created

    def is_fresh(self, tenant: str) -> bool:
        return tenant in self._fresh

    def surroundings(self, desired: Desired, live: Live) -> Surroundings:
        """Reads what observing does not list: namespaces of new tenants, the operator's Secrets, and the Gateway."""
        objects = objects_of(live)
        new = [tenant for tenant in desired.tenants if not _is_there(objects.get(tenant, {}))]
        sources = {
            copy.source: copy for tenant in desired.tenants for copy in secret_copies(self.platform, tenant.tenant)
        }
        with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="reading") as pool:
            namespaces = list(pool.map(self._namespace, [tenant.tenant for tenant in new]))
            secrets = dict(zip(sources, pool.map(self._secret, sources.values()), strict=True))
            has_gateway = gateway_exists(self.kube, self.platform.kubernetes.gateway)
        there = {source: secret for source, secret in secrets.items() if secret is not None}
        return Surroundings(
            self.kube.serves,
            {found["metadata"]["name"]: found for found in namespaces if found},
            {source: version for source, (version, _) in there.items()},
            {source: keys for source, (_, keys) in there.items() if keys is not None},
            has_gateway,
        )

    def provision(self, tenant: str, payload: Payload, live: Objects) -> dict[ObjectRef, Object]:
        """Applies the namespace and the right to write in it, copies the Secrets, then applies the rest, of which the
        service account records the copies. Returns what is live afterwards."""
        entry = tuple(one for one in payload.objects if one["kind"] in _ENTRY)
        others = tuple(one for one in payload.objects if one["kind"] not in _ENTRY)
        self._check_namespace(tenant, live)
        fresh = ObjectRef.of(entry[0]) not in live
        admitted = all(ObjectRef.of(one) in live for one in entry)
        self.applier.rehearse(payload if admitted else replace(payload, objects=entry), live, fresh=fresh)
        first = self.applier.apply(replace(payload, objects=entry, obsolete=()), live)
        if not admitted and len(entry) == len(_ENTRY):
            self._await_admission(tenant)
            self.applier.rehearse(replace(payload, objects=others), first, fresh=fresh)
        for copy in secret_copies(self.platform, tenant):
            self._copy(copy, tenant)
        self._whole.add(tenant)
        return self.applier.apply(replace(payload, objects=others), first)

    def restore_secrets(self, tenant: str) -> None:
        """At most once per round: re-creates deleted copies before a new variant needs them."""
        if tenant in self._whole:
            return
        namespace = namespace_of(self.platform, tenant)
        for copy in secret_copies(self.platform, tenant):
            if self.kube.metadata(ObjectRef(*SECRET, namespace, copy.name)) is None:
                self._copy(copy, tenant)
        self._whole.add(tenant)

    def _await_admission(self, tenant: str) -> None:
        """Waits until the API servers know of a new RoleBinding, which takes them a moment."""
        ask = ObjectRef(*ACCOUNT, namespace_of(self.platform, tenant), SERVICE_ACCOUNT)
        deadline = time.monotonic() + self.applier.timing.admission
        while True:
            try:
                self.kube.metadata(ask)
                return
            except KubeError as error:
                if error.reason is not Reason.FORBIDDEN or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def _check_namespace(self, tenant: str, live: Objects) -> None:
        """Checks again right before the first write, because somebody may have created the namespace since the plan."""
        if any(ref.api == NAMESPACE for ref in live):
            return
        there = self._namespace(tenant)
        if there is None:
            self._fresh.add(tenant)
        elif (unusable := unusable_namespace(there, self.platform, tenant)) is not None:
            raise unusable

    def _namespace(self, tenant: str) -> Object | None:
        return self.kube.metadata(ObjectRef(*NAMESPACE, "", namespace_of(self.platform, tenant)))

    def _secret(self, copy: SecretCopy) -> tuple[str, frozenset[str] | None] | None:
        """The resourceVersion of a Secret of the operator and, where that matters, which of its keys have a value. Only
        then its content is read, and nothing but these names is kept. None: it is missing, or may not be read."""
        namespace, _, name = copy.source.partition("/")
        ref = ObjectRef(*SECRET, namespace, name)
        try:
            secret = self.kube.get(ref) if copy.keys else self.kube.metadata(ref)
        except KubeError as error:
            if error.reason is Reason.FORBIDDEN:
                return None
            raise
        if secret is None:
            return None
        return str(secret["metadata"]["resourceVersion"]), _keys(secret) if copy.keys else None

    def _copy(self, copy: SecretCopy, tenant: str) -> None:
        namespace, _, name = copy.source.partition("/")
        original = self.kube.get(ObjectRef(*SECRET, namespace, name))
        if original is None:
            raise TargetError("A Secret of the operator is missing", f"{copy.source} does not exist any more.")
        if (error := lacking_keys(copy, _keys(original))) is not None:
            raise error
        metadata = {
            "name": copy.name,
            "namespace": namespace_of(self.platform, tenant),
            "labels": marks(self.platform.installation, tenant),
        }
        content = {"type": original.get("type", copy.type), "data": original.get("data") or {}}
        self.kube.apply(
            {"apiVersion": SECRET.api_version, "kind": SECRET.kind, "metadata": metadata, **content}, force=True
        )


def _keys(secret: Object) -> frozenset[str]:
    return frozenset(key for key, value in (secret.get("data") or {}).items() if value)


def _is_there(objects: Objects) -> bool:
    """Whether a tenant's namespace is ours, and to stay."""
    found = [one for ref, one in objects.items() if ref.api == NAMESPACE]
    return any(not one["metadata"].get("deletionTimestamp") for one in found)
