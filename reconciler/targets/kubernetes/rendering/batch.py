"""Runs helm for what is not cached: many entries in one call, or one call a variant for the operator's own chart.

A batch that fails is split by tenant until the faulty tenant is alone: only that tenant gets the error.
Called by `renderer.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from reconciler.model.resources import Kind, ResourceId
from reconciler.targets.kubernetes.objects.identity import Object, owner
from reconciler.targets.kubernetes.rendering.documents import Document, parse
from reconciler.targets.kubernetes.rendering.errors import RenderError
from reconciler.targets.kubernetes.rendering.helm import Helm, HelmCall, template
from reconciler.targets.kubernetes.rendering.job import Job
from reconciler.targets.kubernetes.rendering.values import Values, merged

MAX_ENTRIES = 1_000  # of one call: what it does not do in parallel itself, two calls do
WORKERS = min(4, os.cpu_count() or 1)
RELEASE = "kubeserve"

_CANARY: Values = {
    "name": "canary",
    "tenant": "canary",
    "namespace": "canary",
    "model": {"name": "canary", "version": "v1", "digest": "sha256:" + "0" * 64},
}

Outcome = tuple[Object, ...] | RenderError
Group = list[Job]  # all jobs of one tenant


@dataclass
class Batch:
    """Renders entries of the chart at `chart` beside the values that all share. What is found out of the chart itself
    may be found by two workers at once, which does no harm."""

    helm: Helm
    chart: Path
    shared: Values
    _chart_error: RenderError | None = field(default=None, init=False)
    _chart_is_known: bool = field(default=False, init=False)

    def render(self, jobs: Iterable[Job]) -> dict[ResourceId, Outcome]:
        """What came of each job."""
        found: dict[ResourceId, Outcome] = {}
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="helm") as pool:
            for outcomes in pool.map(self._groups, _chunks(jobs)):
                found |= outcomes
        return found

    def _groups(self, groups: Sequence[Group]) -> dict[ResourceId, Outcome]:
        jobs = [job for group in groups for job in group]
        try:
            documents = self._call(jobs)
        except RenderError as error:
            error = self._fault_of_the_chart() or error
            if len(groups) == 1 or self._chart_error is not None:
                return {job.id: error for job in jobs}
            half = len(groups) // 2
            return self._groups(groups[:half]) | self._groups(groups[half:])
        return {job.id: _outcome(job, documents[job.id]) for job in jobs}

    def _call(self, jobs: Sequence[Job]) -> Mapping[ResourceId, list[Document]]:
        entries: dict[str, list[Values]] = {"variants": [], "deployments": []}
        for job in jobs:
            entries["variants" if job.id.kind is Kind.VARIANT else "deployments"].append(job.values)
        overlays = {job.id.tenant: job.overlay for job in jobs if job.overlay}
        values = {**self.shared, "overlays": list(overlays.values())}
        call = HelmCall(self.chart, RELEASE, "default", values, entries, len(jobs))
        found: dict[ResourceId, list[Document]] = {job.id: [] for job in jobs}
        for document in parse(template(self.helm, call)):
            resource = owner(document.content)
            if resource is None or resource not in found:
                kind, name = document.content["kind"], document.content["metadata"].get("name")
                raise RenderError("A rendered object belongs to no resource", f"{document.template}: {kind} {name}.")
            found[resource].append(document)
        return found

    def _fault_of_the_chart(self) -> RenderError | None:
        """The chart's own error, which does not depend on entries; then splitting a batch is pointless."""
        if not self._chart_is_known:
            backends = [{"variant": "canary", "weight": 100}]
            entries = {
                "variants": [{**_CANARY, "deployment": "canary", "image": "canary"}],
                "deployments": [{**_CANARY, "backends": backends}],
            }
            try:
                template(self.helm, HelmCall(self.chart, RELEASE, "default", self.shared, entries))
            except RenderError as error:
                self._chart_error = error
            self._chart_is_known = True
        return self._chart_error


def render_each(helm: Helm, chart: Path, shared: Values, jobs: Sequence[Job]) -> dict[ResourceId, Outcome]:
    """The same with a chart that knows one variant at a time."""

    def render(job: Job) -> Outcome:
        call = HelmCall(chart, job.id.name, job.expected.namespace, merged(shared, job.values))
        try:
            documents = list(parse(template(helm, call)))
        except RenderError as error:
            return error
        return _outcome(job, documents)

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="helm") as pool:
        return dict(zip((job.id for job in jobs), pool.map(render, jobs), strict=True))


def _outcome(job: Job, documents: list[Document]) -> Outcome:
    try:
        return job.objects(documents)
    except RenderError as error:
        return error


def _chunks(jobs: Iterable[Job]) -> Iterator[list[Group]]:
    """Groups of one tenant each, in batches of no more than MAX_ENTRIES; a tenant with more is a batch of its own."""
    chunk: list[Group] = []
    size = 0
    for _, group in groupby(sorted(jobs, key=lambda job: job.id.tenant), key=lambda job: job.id.tenant):
        members = list(group)
        if chunk and size + len(members) > MAX_ENTRIES:
            yield chunk
            chunk, size = [], 0
        chunk.append(members)
        size += len(members)
    if chunk:
        yield chunk
