"""What the target asks of whoever renders: the objects of every variant and deployment, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from reconciler.model.resources import Desired, ResourceId
from reconciler.targets.kubernetes.objects.identity import Object
from specs.errors import KubeServeError


class Rendered(Protocol):
    """One variant's or deployment's objects, in the order in which they are applied; or why there are none."""

    @property
    def objects(self) -> tuple[Object, ...]: ...

    @property
    def error(self) -> KubeServeError | None: ...


class Renders(Protocol):
    def render(self, desired: Desired, *, monitors: bool = False) -> Mapping[ResourceId, Rendered]:
        """Every variant and deployment of the graph. `monitors`: whether the cluster serves ServiceMonitors."""
