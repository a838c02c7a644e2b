"""All that a plan is computed from, gathered once: what the specs ask for, and everything that is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from reconciler.model.resources import Desired, ResourceId
from reconciler.plan.model import Stored
from reconciler.state.model import State
from reconciler.targets.protocol import Live, LiveVariant, Prepared


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
