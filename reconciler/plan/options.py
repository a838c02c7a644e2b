"""What a plan is made for. Frozen data; light to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.model.resources import Scope
from specs.models.platform import Guards


@dataclass(frozen=True, slots=True)
class PlanOptions:
    scope: Scope = field(default_factory=Scope)
    guards: Guards = field(default_factory=Guards)
    allow_deletions: bool = False
    prune_unclaimed: bool = False
    destroy: bool = False  # delete everything in scope, whatever is desired
