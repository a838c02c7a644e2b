"""What `applying/` writes of one resource: the product of `planning/prepare.py`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.resources import ResourceId
from reconciler.targets.kubernetes.objects.identity import Object, ObjectRef, Propagation


@dataclass(frozen=True, slots=True)
class Payload:
    """Objects in the order in which they are applied, and live ones that are no longer rendered."""

    objects: tuple[Object, ...]
    obsolete: tuple[Object, ...] = ()
    replaced: Mapping[ObjectRef, Propagation] = field(default_factory=dict)  # removed first, as the plan says
    deployment: ResourceId | None = None  # that a variant belongs to
    routed: bool = False  # whether requests are sent to a variant
    weights: Mapping[ResourceId, int] = field(default_factory=dict)  # of a deployment's traffic, in percent
