"""One resource to render: its entry of the chart's values, what has to come out, and the digest of all that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from reconciler.model.described import variant_fields
from reconciler.model.resources import Desired, DesiredDeployment, DesiredVariant, ResourceId
from reconciler.targets.kubernetes.objects.identity import DIGEST, FIELDS, Object, marks, stamped
from reconciler.targets.kubernetes.rendering.documents import Document
from reconciler.targets.kubernetes.rendering.errors import RenderError
from reconciler.targets.kubernetes.rendering.fence import Expected, fence
from reconciler.targets.kubernetes.rendering.values import Values, deployment_values, overlay, variant_values
from reconciler.targets.kubernetes.tenancy.objects import namespace_of
from specs.models.platform import Platform

MAX_BYTES = 1_000_000  # of one entry: an API server takes no object of that size


@dataclass(frozen=True, slots=True)
class Job:
    id: ResourceId
    values: Values
    expected: Expected
    content: bytes  # all that its objects depend on beside the chart and the shared values
    overlay: Values  # of its tenant; in the values already
    annotations: Mapping[str, str]  # for its workload

    def objects(self, documents: list[Document]) -> tuple[Object, ...]:
        """What was rendered, fenced, annotated and stamped with the digest of itself. FenceError."""
        return tuple(stamped(self._annotated(one)) for one in fence(documents, self.expected))

    def _annotated(self, one: Object) -> Object:
        if not self.annotations or one["kind"] != "Deployment":
            return one
        annotations = {**(one["metadata"].get("annotations") or {}), **self.annotations}
        return {**one, "metadata": {**one["metadata"], "annotations": annotations}}


def variant_job(platform: Platform, variant: DesiredVariant) -> Job:
    """RenderError for what a pod can't have."""
    tenant = variant.id.tenant
    labels = marks(platform.installation, tenant, variant.deployment.name, variant.name)
    expected = Expected(variant.id, namespace_of(platform, tenant), labels)
    annotations = {DIGEST: variant.digest, FIELDS: orjson.dumps(variant_fields(variant)).decode()}
    return _job(platform, variant.id, variant_values(platform, variant), expected, annotations)


def deployment_job(platform: Platform, deployment: DesiredDeployment, desired: Desired) -> Job:
    """RenderError for a name that no Service can have."""
    tenant, name = deployment.id.tenant, deployment.name
    kubernetes = platform.kubernetes
    expected = Expected(
        deployment.id,
        namespace_of(platform, tenant),
        marks(platform.installation, tenant, name),
        frozenset({f"/{tenant}/{name}", f"/api/v1/predict/{tenant}/{name}"}),
        kubernetes.host,
        kubernetes.gateway,
        frozenset(variant.name for variant in deployment.weights),
    )
    values = deployment_values(platform, deployment, desired.variants_of[deployment.id])
    return _job(platform, deployment.id, values, expected, {})


def _job(
    platform: Platform, resource: ResourceId, values: Values, expected: Expected, annotations: Mapping[str, str]
) -> Job:
    content = orjson.dumps([values, annotations], option=orjson.OPT_SORT_KEYS)
    if len(content) > MAX_BYTES:
        raise RenderError(
            "Too large for Kubernetes",
            f"{resource} asks for objects of more than {len(content)} bytes; {MAX_BYTES} is what fits into one. Its "
            "environment and checks are what grows: put large content into the artifact.",
        )
    return Job(resource, values, expected, content, overlay(platform, resource.tenant), annotations)
