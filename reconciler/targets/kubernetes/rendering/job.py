"""One resource to render: its entry of the chart's values, the expected objects, and what the cache's key covers."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from reconciler.model.resources import Desired, DesiredDeployment, DesiredVariant, ResourceId
from reconciler.targets.kubernetes.objects.identity import Object, marks
from reconciler.targets.kubernetes.rendering.documents import Document
from reconciler.targets.kubernetes.rendering.errors import RenderError
from reconciler.targets.kubernetes.rendering.fence import Expected, fence
from reconciler.targets.kubernetes.rendering.values import Values, deployment_values, overlay, variant_values
from reconciler.targets.kubernetes.tenancy.objects import namespace_of
from runtime.paths import path_prefixes
from specs.models.platform import Platform

MAX_BYTES = 1_000_000  # of one entry: an API server takes no object of that size


@dataclass(frozen=True, slots=True)
class Job:
    id: ResourceId
    values: Values
    expected: Expected
    content: bytes  # all that its objects depend on beside the chart and the shared values
    overlay: Values  # of its tenant; in the values already

    def objects(self, documents: list[Document]) -> tuple[Object, ...]:
        """What was rendered, if the fence lets it pass. FenceError."""
        return fence(documents, self.expected)


def variant_job(platform: Platform, variant: DesiredVariant) -> Job:
    """RenderError for what a pod can't have."""
    tenant = variant.id.tenant
    labels = marks(platform.installation, tenant, variant.deployment.name, variant.name)
    expected = Expected(variant.id, namespace_of(platform, tenant), labels)
    return _job(platform, variant.id, variant_values(platform, variant), expected)


def deployment_job(platform: Platform, deployment: DesiredDeployment, desired: Desired) -> Job:
    """RenderError for a name that no Service can have."""
    tenant, name = deployment.id.tenant, deployment.name
    kubernetes = platform.kubernetes
    expected = Expected(
        deployment.id,
        namespace_of(platform, tenant),
        marks(platform.installation, tenant, name),
        frozenset(path_prefixes(tenant, name)),
        kubernetes.host,
        kubernetes.gateway,
        frozenset(variant.name for variant in deployment.weights),
    )
    values = deployment_values(platform, deployment, desired.variants_of[deployment.id])
    return _job(platform, deployment.id, values, expected)


def _job(platform: Platform, resource: ResourceId, values: Values, expected: Expected) -> Job:
    content = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    if len(content) > MAX_BYTES:
        raise RenderError(
            "Too large for Kubernetes",
            f"{resource} asks for objects of more than {len(content)} bytes; {MAX_BYTES} is what fits into one. Its "
            "environment and checks are what grows: put large content into the artifact.",
        )
    return Job(resource, values, expected, content, overlay(platform, resource.tenant))
