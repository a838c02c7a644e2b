"""What a plan is made for, and all that it is computed from, gathered once. Frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from reconciler.model.resources import Desired, ResourceId, Scope
from reconciler.plan.model import Stored
from reconciler.state.model import State
from reconciler.targets.protocol import Live, LiveVariant, Prepared
from specs.models.platform import Guards


@dataclass(frozen=True, slots=True)
class PlanOptions:
    scope: Scope = field(default_factory=Scope)
    guards: Guards = field(default_factory=Guards)
    allow_deletions: bool = False
    prune_unclaimed: bool = False
    destroy: bool = False  # delete everything in scope, whatever is desired


@dataclass(frozen=True)
class World:
    desired: Desired
    live: Live
    stored: Stored
    prepared: Prepared
    state: State

    @cached_property
    def live_variants(self) -> Mapping[ResourceId, Sequence[LiveVariant]]:
        """The live variants of each deployment."""
        variants: dict[ResourceId, list[LiveVariant]] = {}
        for variant in self.live.variants.values():
            variants.setdefault(variant.deployment, []).append(variant)
        return variants
