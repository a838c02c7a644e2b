"""The desired graph in, objects a variant and a deployment out: cached, else rendered by helm and fenced.

Built by the Kubernetes target for its platform; called before every plan, and by `kubeserve render`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import orjson

from reconciler.model.resources import Desired, DesiredDeployment, DesiredVariant, ResourceId
from reconciler.targets.kubernetes.objects.identity import ObjectRef
from reconciler.targets.kubernetes.objects.rendered import Rendered
from reconciler.targets.kubernetes.rendering.batch import Batch, Outcome, render_each
from reconciler.targets.kubernetes.rendering.cache import RenderCache
from reconciler.targets.kubernetes.rendering.chart import chart_digest, own_chart
from reconciler.targets.kubernetes.rendering.errors import RenderError
from reconciler.targets.kubernetes.rendering.helm import find_helm
from reconciler.targets.kubernetes.rendering.job import Job, deployment_job, variant_job
from reconciler.targets.kubernetes.rendering.values import Values, shared_values
from specs.models.platform import Platform

FORMAT = 2  # of what is cached; another one whenever the fence, or what is added after rendering, changes

R = TypeVar("R", DesiredVariant, DesiredDeployment)


class Renderer:
    """`cache_dir` is made private, because it will hold what tenants' specs say. `base`: the folder of platform.yaml,
    from which the path of the operator's own chart starts."""

    def __init__(self, platform: Platform, cache_dir: Path, *, base: Path = Path()) -> None:
        self._platform = platform
        self._cache = RenderCache(cache_dir / "rendered")
        self._ours = own_chart()
        chart = platform.kubernetes.chart
        self._operators = (base / chart).resolve() if chart else None

    def render(self, desired: Desired, *, monitors: bool = False) -> Mapping[ResourceId, Rendered]:
        """Every variant and deployment. `monitors`: whether the cluster serves ServiceMonitors.

        An error of one resource is in its result. HelmMissing if something has to be rendered and there is no
        helm; RenderError for a store or a chart that is unusable for all.
        """
        shared = shared_values(self._platform, monitors=monitors)
        outcomes: dict[ResourceId, Outcome] = {}
        variants = _jobs(desired.variants.values(), lambda v: variant_job(self._platform, v), outcomes)
        deployments = _jobs(
            desired.deployments.values(), lambda d: deployment_job(self._platform, d, desired), outcomes
        )
        keys = self._keys(self._operators or self._ours, shared, variants) | self._keys(self._ours, shared, deployments)
        outcomes |= self._known_or_new(variants, deployments, keys, shared)
        return {resource: _rendered(outcome) for resource, outcome in _apart(outcomes).items()}

    def _known_or_new(
        self, variants: list[Job], deployments: list[Job], keys: Mapping[ResourceId, bytes], shared: Values
    ) -> dict[ResourceId, Outcome]:
        cached = self._cache.get(keys.values())
        found: dict[ResourceId, Outcome] = {r: cached[key] for r, key in keys.items() if key in cached}
        variants = [job for job in variants if job.id not in found]
        deployments = [job for job in deployments if job.id not in found]
        if not variants and not deployments:
            return found
        new = self._new(variants, deployments, shared)
        self._cache.put({keys[r]: outcome for r, outcome in new.items() if isinstance(outcome, tuple)})
        return found | new

    def _new(self, variants: list[Job], deployments: list[Job], shared: Values) -> dict[ResourceId, Outcome]:
        helm = find_helm()
        batch = Batch(helm, self._ours, shared)
        if self._operators is None:
            return batch.render([*variants, *deployments])
        return render_each(helm, self._operators, shared, variants) | batch.render(deployments)

    @staticmethod
    def _keys(chart: Path, shared: Values, jobs: Iterable[Job]) -> dict[ResourceId, bytes]:
        common = hashlib.sha256(chart_digest(chart))
        common.update(orjson.dumps([FORMAT, shared], option=orjson.OPT_SORT_KEYS))
        found = {}
        for job in jobs:
            digest = common.copy()
            digest.update(job.content)
            found[job.id] = digest.digest()
        return found


def _jobs(resources: Iterable[R], make: Callable[[R], Job], outcomes: dict[ResourceId, Outcome]) -> list[Job]:
    """The jobs of resources that can be rendered; for others, their error goes into `outcomes`."""
    found = []
    for resource in resources:
        try:
            found.append(make(resource))
        except RenderError as error:
            outcomes[resource.id] = error
    return found


def _apart(outcomes: Mapping[ResourceId, Outcome]) -> dict[ResourceId, Outcome]:
    """Refuses objects of two resources with one name, such as a deployment named like another one's variant."""
    makers: dict[ObjectRef, ResourceId] = {}
    found = dict(outcomes)
    for resource, outcome in outcomes.items():
        for one in outcome if isinstance(outcome, tuple) else ():
            ref = ObjectRef.of(one)
            other = makers.setdefault(ref, resource)
            if other != resource:
                error = RenderError("Two resources need one object", f"{ref} would be both {other}'s and {resource}'s.")
                found[resource] = found[other] = error
    return found


def _rendered(outcome: Outcome) -> Rendered:
    return Rendered(outcome) if isinstance(outcome, tuple) else Rendered(error=outcome)
