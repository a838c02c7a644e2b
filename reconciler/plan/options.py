"""What a command was told about the plan that it wants. Frozen data; light to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.model.resources import Scope


@dataclass(frozen=True, slots=True)
class Budget:
    """A round that deletes more than `deployments`, and more than `percent` of all that it was narrowed to, stops."""

    deployments: int = 5
    percent: int = 30


@dataclass(frozen=True, slots=True)
class Options:
    scope: Scope = field(default_factory=Scope)
    budget: Budget = field(default_factory=Budget)
    allow_deletions: bool = False
    prune_unclaimed: bool = False
    destroy: bool = False  # delete all in scope, whatever is desired
