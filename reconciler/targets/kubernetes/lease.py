"""A Lease that makes one installation's round the only one in its cluster.

Held by `target.py` during a round. Clocks of machines are not compared: a process that finds the Lease held measures
with its own monotonic clock, and takes the Lease over once it has not been renewed for as long as it lasts. The owner
stops writing earlier, by its own clock. https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import orjson

from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.objects.identity import INSTALLATION, MANAGED_BY, MANAGER, PREFIX, Object, ObjectRef
from reconciler.targets.kubernetes.objects.kinds import LEASE, NAMESPACE
from reconciler.targets.ownership import Owner, held_by, left_by, this_process
from reconciler.targets.protocol import TargetError

LEASE_SECONDS = 15.0
MARGIN_SECONDS = 5.0  # before expiry, in which the owner starts no more writes
RENEW_SECONDS = 3.0
POLL_SECONDS = 0.5
OWNER = f"{PREFIX}owner"  # annotation: its owner, for people

_LOST = (Reason.CONFLICT, Reason.ALREADY_EXISTS)


class LeaseLostError(TargetError):
    """The round no longer owns the target."""

    code = "lease-lost"


@contextmanager
def held_lease(
    kube: KubeClient, namespace: str, installation: str, command: str, timeout: float, *, seconds: float = LEASE_SECONDS
) -> Iterator[Owner]:
    """Holds the installation's Lease, renewed by a thread; everything that `kube` writes is checked against it.

    LockHeldError names the owner after `timeout` seconds; one that seems to be dead is watched until that is certain.
    """
    lease = _Lease(kube, namespace, installation, seconds)
    owner = lease.acquire(command, timeout)
    kube.guard(lease.check)
    renewing = threading.Thread(target=lease.keep, name="lease", daemon=True)
    renewing.start()
    try:
        yield owner
    finally:
        kube.guard(lambda: None)
        lease.ended.set()
        renewing.join()
        lease.release()


@dataclass
class _Lease:
    kube: KubeClient
    namespace: str
    installation: str
    seconds: float
    ended: threading.Event = field(default_factory=threading.Event)
    _identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    _held: Object = field(default_factory=dict)
    _valid_until: float = 0.0  # by the monotonic clock
    _lost: str = ""

    @property
    def _ref(self) -> ObjectRef:
        return ObjectRef(*LEASE, self.namespace, f"kubeserve-{self.installation}")

    def acquire(self, command: str, timeout: float) -> Owner:
        """Waits until it is free. Watches for renewals and measures expiry with the local monotonic clock."""
        begun = seen_at = time.monotonic()
        seen: list[str] = []  # its resourceVersions
        while True:
            asked = time.monotonic()
            there = self.kube.get(self._ref)
            now = time.monotonic()
            if there is None or not there["spec"].get("holderIdentity"):
                if (owner := self._take(there, command)) is not None:
                    return owner
            elif (version := there["metadata"]["resourceVersion"]) not in seen:  # renewed, or taken by another
                seen.append(version)
                seen_at = now
            elif asked - seen_at > _duration(there) and (owner := self._take(there, command)) is not None:
                return owner
            if there and now - begun >= timeout and (len(seen) > 1 or not _seems_dead(there)):
                owner = _owner_of(there)
                raise left_by(owner) if owner and owner.has_ended else held_by(owner)
            time.sleep(min(POLL_SECONDS, self.seconds / 10))

    def check(self) -> None:
        """LeaseLostError if another process may hold it by now."""
        if self._lost or time.monotonic() > self._valid_until:
            why = self._lost or "it could not be renewed in time"
            raise LeaseLostError(
                "This round no longer owns the cluster",
                f"Lease {self.namespace}/{self._ref.name}: {why}. Nothing more is written. The next round continues.",
            )

    def keep(self) -> None:
        """Renews until `ended`; run by its own thread."""
        while not self.ended.wait(RENEW_SECONDS * self.seconds / LEASE_SECONDS) and not self._lost:
            try:
                self._write(self._held, self._held["spec"])
            except KubeError as error:
                if error.reason in _LOST or error.reason is Reason.NOT_FOUND:
                    self._check_taken()

    def release(self) -> None:
        """Frees it for the next round, if it is still ours."""
        if self._lost:
            return
        try:
            self._write(self._held, {**self._held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1})
        except KubeError:
            return  # it expires by itself

    def _check_taken(self) -> None:
        """After a conflict at renewal: whether somebody only edited the Lease, or holds it."""
        there = self.kube.get(self._ref)
        if there and there["spec"].get("holderIdentity") == self._identity:
            self._held = there
        else:
            self._lost = f"{_owner_of(there)} holds it" if there else "it was deleted"

    def _take(self, there: Object | None, command: str) -> Owner | None:
        """None if another process took it first."""
        token = int(there["spec"].get("leaseTransitions") or 0) + 1 if there else 1
        owner = this_process(command, token)
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self.seconds)),
            "leaseTransitions": token,
            "acquireTime": _now(),
        }
        metadata = {
            "name": self._ref.name,
            "namespace": self.namespace,
            "labels": {MANAGED_BY: MANAGER, INSTALLATION: self.installation},
            "annotations": {OWNER: orjson.dumps(asdict(owner)).decode()},
        }
        if there:
            metadata["resourceVersion"] = there["metadata"]["resourceVersion"]
        try:
            self._write({"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}, spec)
        except KubeError as error:
            if error.reason in _LOST:
                return None
            if error.reason is Reason.NOT_FOUND and there is None:
                self._make_namespace()
                return None
            raise
        return owner

    def _write(self, base: Object, spec: Object) -> None:
        begun = time.monotonic()
        changed = {**base, "spec": {**spec, "renewTime": _now()}}
        known = "resourceVersion" in base["metadata"]
        self._held = self.kube.replace(changed, guarded=False) if known else self.kube.create(changed, guarded=False)
        self._valid_until = begun + self.seconds * (1 - MARGIN_SECONDS / LEASE_SECONDS)

    def _make_namespace(self) -> None:
        metadata = {"name": self.namespace, "labels": {MANAGED_BY: MANAGER}}
        try:
            self.kube.create(
                {"apiVersion": NAMESPACE.api_version, "kind": NAMESPACE.kind, "metadata": metadata}, guarded=False
            )
        except KubeError as error:
            if error.reason is Reason.FORBIDDEN:
                raise TargetError(
                    "The namespace of the Lease is missing",
                    f"Namespace {self.namespace} does not exist, and KubeServe may not create it. Create it with "
                    f"`kubectl create namespace {self.namespace}`, or name another by `kubernetes: {{namespace: …}}`.",
                ) from error
            if error.reason is not Reason.ALREADY_EXISTS:
                raise


def _seems_dead(there: Object) -> bool:
    """Compares the clocks of two machines, which is no reason to take the Lease, only to watch it a little longer."""
    renewed = there["spec"].get("renewTime")
    return not renewed or (datetime.now(UTC) - datetime.fromisoformat(renewed)).total_seconds() > _duration(there)


def _duration(there: Object) -> float:
    return float(there["spec"].get("leaseDurationSeconds") or LEASE_SECONDS)


def _owner_of(there: Object | None) -> Owner | None:
    try:
        return Owner(**orjson.loads((there or {})["metadata"]["annotations"][OWNER]))
    except (KeyError, ValueError, TypeError):
        return None


def _now() -> str:
    """A MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
