"""Desired variants and deployments as Kubernetes objects, rendered by the real Helm and fenced afterwards.

Called by the Kubernetes target before a plan, and by `kubeserve render`; asks no cluster anything.
"""

from reconciler.targets.kubernetes.rendering.errors import FenceError, HelmMissing, RenderError
from reconciler.targets.kubernetes.rendering.renderer import Renderer

__all__ = ["FenceError", "HelmMissing", "RenderError", "Renderer"]
