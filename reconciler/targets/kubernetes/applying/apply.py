"""Applies one resource's objects: a dry run of the live ones, then server-side apply, then removal of obsolete ones.

Called by `rollout.py` for one tenant, variant or deployment at a time, in a worker.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.targets.kubernetes.applying.orphans import replicas_of_orphans
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.errors import Conflict
from reconciler.targets.kubernetes.objects.compare import differences
from reconciler.targets.kubernetes.objects.identity import (
    INSTALLATION,
    SCALER,
    TENANT,
    VARIANT,
    Object,
    ObjectRef,
    Objects,
    Propagation,
    selector,
)
from reconciler.targets.kubernetes.objects.kinds import AUTOSCALER, WORKLOAD
from reconciler.targets.kubernetes.objects.ownership import OURS, applies, taken_over
from reconciler.targets.kubernetes.planning.payload import Payload
from reconciler.targets.kubernetes.planning.replacement import in_place_error, interruption_error
from reconciler.targets.kubernetes.timing import Timing
from reconciler.targets.protocol import TargetError

ATTEMPTS = 5
"""At changing or deleting an object as it was read, while a controller writes the same object's status."""
POLL_SECONDS = 0.1
_IMMUTABLE = ("field is immutable", "may not change once set")

MAX_NAME = 63
_REHEARSAL = "-rehearsal"


class ConflictError(TargetError):
    """Another manager applies a field that we would set; the field is not changed."""

    code = "conflict"


@dataclass(frozen=True, slots=True)
class Applier:
    """`force`: whether fields that others apply are taken from them."""

    kube: KubeClient
    installation: str
    force: bool = False
    timing: Timing = field(default_factory=Timing)

    def rehearse(self, payload: Payload, live: Objects, *, fresh: bool = False) -> None:
        """A dry run: raises what applying would raise. `fresh`: the namespace is new, so it is empty."""
        for one in _changed(payload, live):
            there = live.get(ObjectRef.of(one))
            if ObjectRef.of(one) in payload.replaced:
                self._apply(_beside(one), dry_run=True)  # if the new one is invalid, the live one must survive
            elif there is not None and not _is_going(there):
                self._apply(one, dry_run=True)
            elif not fresh:
                self._check_free(one)

    def apply(self, payload: Payload, live: Objects, *, fresh: bool = False) -> dict[ObjectRef, Object]:
        """Returns what is live afterwards. An obsolete autoscaler is deleted first, because it would undo the new
        number of replicas. `fresh`: as for `rehearse`."""
        remove_objects(self.kube, (one for one in payload.obsolete if one["kind"] == AUTOSCALER.kind))
        after = {ref: one for ref, one in live.items() if one not in payload.obsolete}
        for one in _changed(payload, live):
            ref = ObjectRef.of(one)
            if ref in payload.replaced:
                after[ref] = self._replace(one, live[ref]["metadata"]["uid"], payload)
            elif ref in live and not _is_going(live[ref]):
                self._take_over(live[ref])
                self._keep_replicas(one, live[ref])
                after[ref] = self._apply(one)
            else:
                if ref in live:
                    self._await_gone(ref, live[ref]["metadata"]["uid"])
                after[ref] = self._make(one, None if fresh else self._left_behind(one))
        remove_objects(self.kube, (one for one in payload.obsolete if one["kind"] != AUTOSCALER.kind))
        return after

    def start_with(self, workload: Object, replicas: int) -> Object:
        """Gives a Deployment a number of replicas that its autoscaler may change."""
        metadata = {"name": workload["metadata"]["name"], "namespace": workload["metadata"]["namespace"]}
        scale = {
            "apiVersion": WORKLOAD.api_version,
            "kind": WORKLOAD.kind,
            "metadata": metadata,
            "spec": {"replicas": replicas},
        }
        return self.kube.apply(scale, manager=SCALER, force=True)

    def _apply(self, one: Object, *, dry_run: bool = False) -> Object:
        try:
            return self.kube.apply(one, dry_run=dry_run, force=self.force)
        except KubeError as error:
            if error.reason is Reason.CONFLICT and error.conflicts:
                if applied := [c for c in error.conflicts if c.applied and c.manager not in OURS]:
                    raise _conflict(one, applied) from error
                return self.kube.apply(one, dry_run=dry_run, force=True)  # edited, patched or scaled: take it back
            if error.reason is Reason.INVALID and any(words in error.message for words in _IMMUTABLE):
                raise in_place_error(ObjectRef.of(one), error.message) from error
            raise

    def _check_free(self, one: Object) -> None:
        """Refuses to overwrite somebody else's object of the same name. An object whose labels were edited away still
        counts as ours, by its field manager."""
        there = self.kube.metadata(ObjectRef.of(one))
        if there is None:
            return
        metadata = there["metadata"]
        installation = (metadata.get("labels") or {}).get(INSTALLATION, "")
        managers = {entry["manager"] for entry in metadata.get("managedFields") or ()}
        if installation != self.installation and (installation or not managers & OURS):
            raise TargetError(
                "The name is taken",
                f"{ObjectRef.of(one)} exists and is not of this installation. KubeServe does not change it: rename the "
                "deployment, or remove that object.",
            )

    def _replace(self, one: Object, uid: str, payload: Payload) -> Object:
        """Replaces an object that can't be changed in place, keeping its number of replicas. Repeatable."""
        ref = ObjectRef.of(one)
        for _ in range(ATTEMPTS):
            now = self.kube.get(ref)
            if now is None:
                return self._make(one, self._left_behind(one))
            if now["metadata"]["uid"] != uid or self._remove_as_seen(now, payload):
                return self._make(one, now["spec"].get("replicas"))
        raise TargetError("It keeps changing", f"{ref} can't be deleted as it was read.", retryable=True)

    def _remove_as_seen(self, now: Object, payload: Payload) -> bool:
        """False if it changed since we looked (scaled, or a pod became ready)."""
        ref, metadata = ObjectRef.of(now), now["metadata"]
        propagation = payload.replaced[ref]
        if propagation is Propagation.BACKGROUND and payload.routed and (now.get("status") or {}).get("readyReplicas"):
            raise interruption_error(ref)
        try:
            self.kube.delete(
                ref, metadata["uid"], resource_version=metadata["resourceVersion"], propagation=propagation
            )
        except KubeError as error:
            if error.reason is not Reason.CONFLICT:
                raise
            return False
        self._await_gone(ref, metadata["uid"])
        return True

    def _make(self, one: Object, replicas: int | None) -> Object:
        """Creates an object; an autoscaled Deployment with this number of replicas, because the API's default of one
        would scale down the pods that it takes over."""
        if replicas is None or not _is_autoscaled(one):
            return self._apply(one)
        self._apply({**one, "spec": {**one["spec"], "replicas": replicas}})
        self.start_with(one, replicas)  # else the number goes with the next apply, which does not have it
        return self._apply(one)

    def _left_behind(self, one: Object) -> int | None:
        """The replicas of a Deployment that was deleted without its pods, by a killed replacement or by people."""
        if not _is_autoscaled(one):
            return None
        metadata = one["metadata"]
        labels = f"{selector(self.installation, metadata['labels'][TENANT])},{VARIANT}={metadata['labels'][VARIANT]}"
        return replicas_of_orphans(self.kube, metadata["namespace"], labels)

    def _await_gone(self, ref: ObjectRef, uid: str) -> None:
        """Waits for an object that somebody deleted. A retryable TargetError if it still exists after that time."""
        deadline = time.monotonic() + self.timing.removal
        while (now := self.kube.metadata(ref)) is not None and now["metadata"]["uid"] == uid:
            if time.monotonic() > deadline:
                raise TargetError(
                    "Still being removed",
                    f"{ref} is being deleted and still exists; once it is gone, it is created again.",
                    retryable=True,
                )
            time.sleep(POLL_SECONDS)

    def _take_over(self, seen: Object) -> None:
        """Takes over fields that people added by editing, so that the next apply removes them."""
        for _ in range(ATTEMPTS if taken_over(seen) else 0):
            there = self.kube.get(ObjectRef.of(seen))
            entries = taken_over(there) if there else None
            if there is None or entries is None:
                return
            try:
                self.kube.rewrite_managers(there, entries)
            except KubeError as error:
                if error.reason is not Reason.INVALID:  # its status was written meanwhile
                    raise

    def _keep_replicas(self, wanted: Object, there: Object) -> None:
        """From a fixed number to autoscaling: the number stays while the field leaves what we apply.

        Server-side apply would take a field that only we own away, and set the API's default of one. A number that an
        autoscaler chose is its own, and may be another by now.
        """
        if not _is_autoscaled(wanted) or not applies(there, "spec", "replicas"):
            return
        replicas = (there.get("spec") or {}).get("replicas")
        if replicas and int(replicas) > 1:
            self.start_with(there, int(replicas))


def remove_objects(kube: KubeClient, objects: Iterable[Object]) -> bool:
    """Deletes each object if it still is the one that was seen. Returns whether all are gone."""
    gone = True
    for one in objects:
        if _is_going(one):
            gone = False
            continue
        try:
            gone &= kube.delete(ObjectRef.of(one), one["metadata"]["uid"])
        except KubeError as error:
            if error.reason is not Reason.CONFLICT:
                raise
            raise TargetError(
                "Changed since it was planned", f"{ObjectRef.of(one)} was made again by somebody else. Plan again."
            ) from error
    return gone


def _is_going(one: Object) -> bool:
    return bool(one["metadata"].get("deletionTimestamp"))


def _is_autoscaled(rendered: Object) -> bool:
    """Whether an autoscaler chooses its number of replicas."""
    return bool(rendered["kind"] == WORKLOAD.kind and "replicas" not in rendered["spec"])


def _beside(one: Object) -> Object:
    """The same object under an unused name, to find out by a dry run whether it could be created."""
    name = f"{one['metadata']['name'][: MAX_NAME - len(_REHEARSAL)]}{_REHEARSAL}"
    return {**one, "metadata": {**one["metadata"], "name": name}}


def _changed(payload: Payload, live: Objects) -> list[Object]:
    return [one for one in payload.objects if differences(one, live.get(ObjectRef.of(one)))]


def _conflict(one: Object, conflicts: Iterable[Conflict]) -> ConflictError:
    who = "; ".join(f"{conflict.manager} applies {conflict.field}" for conflict in conflicts)
    return ConflictError(
        "Somebody else applies this field",
        f"{ObjectRef.of(one)}: {who}. KubeServe does not change it. Have one of the two give it up, or let KubeServe "
        "take it by `kubernetes: {force: true}` in platform.yaml.",
    )
