"""Why something can't be rendered."""

from __future__ import annotations

from reconciler.targets.protocol import TargetError


class RenderError(TargetError):
    """A chart, its values or what came out of them is not usable."""

    code = "render"


class FenceError(RenderError):
    """A rendered object that no tenant may have."""

    code = "fence"


class HelmMissing(RenderError):  # noqa: N818 - what is wrong is that it is missing
    """No usable helm: nothing new can be rendered, and everything else still works."""

    code = "helm-missing"
