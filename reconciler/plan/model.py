"""The plan: frozen data between `diff.py`, which makes it, and `engine/` and every view, which only read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from reconciler.model.described import FieldChange
from reconciler.model.resources import Kind, ResourceId, Scope
from specs.errors import Trouble


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"  # something of it can't be changed in place: removed and made again
    DELETE = "delete"
    RETRY = "retry"  # the same content failed in an earlier round
    ADOPT = "take over"  # ours and as desired, but unknown to the state file
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds: of each version the digests under its name. Of a tenant that it would not list: why."""

    digests: Mapping[ResourceId, frozenset[str]] = field(default_factory=dict)
    unlisted: Mapping[str, Trouble] = field(default_factory=dict)
    line_endings: frozenset[ResourceId] = frozenset()  # versions that differ from the stored ones by these alone


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource. The changes of a deployment's variants follow its own and name it."""

    id: ResourceId
    action: Action
    fields: tuple[FieldChange, ...] = ()
    note: str = ""
    size: int = 0  # bytes to upload
    drift: bool = False  # the specs did not change; what is live did
    error: Trouble | None = None
    deployment: ResourceId | None = None  # a variant's
    fingerprint: str = ""  # of what is live, for a deletion
    replacement: str = ""  # what of it is removed and made again, and what that means to who uses it

    @property
    def is_work(self) -> bool:
        return self.action is not Action.UNCHANGED


@dataclass(frozen=True, slots=True)
class Guard:
    """Stops the deletions of a round until the user allows them by name."""

    code: str  # "budget", "whole-tenant", "protected", "empty"
    summary: str
    detail: str
    withheld: tuple[ResourceId, ...] = ()


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Carries our mark, is not in the state file and is not desired: shown, and left alone unless asked."""

    id: ResourceId
    note: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What a plan was computed from. A saved plan is refused once one of these differs."""

    desired: str  # digest of the desired graph: specs, platform, runtime, our version
    lineage: str
    serial: int
    live: str  # digest of the fingerprints of all that the plan touches
    prepared: str = ""  # digest of what would be applied to it


@dataclass(frozen=True)
class Plan:
    """Changes in the order of tenants; inside one: the tenant, its versions, its deployments."""

    changes: tuple[Change, ...]
    guards: tuple[Guard, ...] = ()
    unclaimed: tuple[Unclaimed, ...] = ()
    target: str = ""
    revision: str = ""
    scope: Scope = field(default_factory=Scope)
    binding: Binding = field(default_factory=lambda: Binding("", "", 0, ""))

    @cached_property
    def by_id(self) -> Mapping[ResourceId, Change]:
        return {change.id: change for change in self.changes}

    @cached_property
    def variants_of(self) -> Mapping[ResourceId, tuple[Change, ...]]:
        """Of each deployment: the changes of its variants."""
        found: dict[ResourceId, list[Change]] = {}
        for change in self.changes:
            if change.deployment is not None:
                found.setdefault(change.deployment, []).append(change)
        return {deployment: tuple(changes) for deployment, changes in found.items()}

    def work(self, *kinds: Kind) -> Iterator[Change]:
        return (c for c in self.changes if c.is_work and (not kinds or c.id.kind in kinds))

    @cached_property
    def is_empty(self) -> bool:
        """Nothing to do: applying it would change nothing but perhaps withheld deletions."""
        return not any(c.is_work for c in self.changes)

    @cached_property
    def errors(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.error is not None)

    @cached_property
    def shared_errors(self) -> Mapping[Trouble, tuple[Change, ...]]:
        """Each error once, with the changes that it stops: a view shows a cause in full only at the first of them."""
        stopped: dict[Trouble, list[Change]] = {}
        for change in self.errors:
            if change.error is not None:
                stopped.setdefault(change.error, []).append(change)
        return {error: tuple(changes) for error, changes in stopped.items()}

    @cached_property
    def deletions(self) -> tuple[Change, ...]:
        """What users lose: deployments and tenants, not variants that a newer one replaces."""
        return tuple(c for c in self.work(Kind.DEPLOYMENT, Kind.TENANT) if c.action is Action.DELETE)
