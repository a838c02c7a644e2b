"""What the target asks of a renderer: the objects of every variant and deployment, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.resources import Desired, ResourceId
from reconciler.targets.kubernetes.objects.identity import Object
from specs.errors import KubeServeError


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects of one variant or deployment in the order in which they are applied, or why there are none."""

    objects: tuple[Object, ...] = ()
    error: KubeServeError | None = None


class Renders(Protocol):
    def render(self, desired: Desired, *, monitors: bool = False) -> Mapping[ResourceId, Rendered]:
        """Every variant and deployment of the graph. `monitors`: whether the cluster serves ServiceMonitors."""
