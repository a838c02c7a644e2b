"""Compile, diff and plan of 100, 1,000 and 10,000 deployments: time, memory and growth.

Run by hand: `python -m tests.benchmarks.bench_plan`. Prints, for each size, the median of a few runs of each stage,
the peak of memory that the stages allocate, and by how much ten times the deployments cost more (10.0 is linear).
The bare limit beside it is one pass of orjson over the plan's own JSON.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson

from reconciler.desired.graph import compile_graph
from reconciler.model.resources import Desired, DesiredVersion, ResourceId, Scope, version_id
from reconciler.plan.diff import make_plan
from reconciler.plan.inputs import PlanOptions, World
from reconciler.plan.model import Plan, Stored
from reconciler.plan.views.data import render_json
from reconciler.plan.views.text import render_text
from reconciler.state.file import StateFile
from reconciler.state.model import Phase, Record, State
from specs.loading.loader import SpecFile, TenantSpec, load_tenants
from specs.models.platform import default_platform
from tests.support.engine.graphs import version
from tests.support.engine.memory_target import MemoryTarget

SIZES = (100, 1_000, 10_000)
RUNS = 5
PER_TENANT = 20
T = TypeVar("T")


def main() -> None:
    names = ("load", "compile", "diff", "all three", "text", "json", "orjson", "memory")
    print(f"{'deployments':>11} " + " ".join(f"{name:>{10 if name == 'all three' else 9}}" for name in names))
    before = 0.0
    for size in SIZES:
        row, peak = measure(size)
        planned = row["compile"] + row["diff"]
        growth = f"  x{planned / before:.1f} for ten times as many" if before else ""
        before = planned
        cells = [
            row["load"],
            row["compile"],
            row["diff"],
            planned + row["load"],
            row["text"],
            row["json"],
            row["orjson"],
        ]
        widths = (9, 9, 9, 10, 9, 9, 9)
        shown = " ".join(f"{cell * 1000:>{width - 2}.1f}ms" for cell, width in zip(cells, widths, strict=True))
        print(f"{size:>11,} {shown} {peak / 2**20:>6.1f}MiB{growth}")


def measure(size: int) -> tuple[dict[str, float], int]:
    """Seconds a stage, and the peak of what compile, diff and plan allocate in bytes."""
    files = spec_files(size)
    platform = default_platform()
    load, loaded = timed(lambda: load_tenants(files, platform))
    assert loaded.ok, [problem.render() for problem in loaded.problems[:3]]
    tenants = loaded.tenants.values()
    versions = {tenant.name: versions_of(tenant) for tenant in tenants}
    target = MemoryTarget()
    with tempfile.TemporaryDirectory() as folder:
        state = StateFile(Path(folder) / "state.json", "default", "memory").load()
    compiling, desired = timed(lambda: compile_graph(tenants, versions, platform, target.runtime))
    fill(target, desired)
    known = State(state.lineage, 1, "default", "memory", {r: Record(Phase.READY) for r in target.resources})
    changed = change_a_tenth(desired)
    diffing, plan = timed(lambda: plan_of(changed, target, known))
    tracemalloc.start()
    compile_graph(tenants, versions, platform, target.runtime)
    plan_of(changed, target, known)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    text, _ = timed(lambda: render_text(plan))
    json_time, document = timed(lambda: render_json(plan))
    bare, _ = timed(lambda: orjson.dumps(orjson.loads(document)))
    return {"load": load, "compile": compiling, "diff": diffing, "text": text, "json": json_time, "orjson": bare}, peak


def plan_of(desired: Desired, target: MemoryTarget, state: State) -> Plan:
    live = target.observe(Scope())
    prepared = target.prepare(desired, live)
    stored = Stored({v.id: frozenset({v.digest}) for v in desired.versions.values()})
    return make_plan(World(desired, live, stored, prepared, state), PlanOptions(), target="memory", revision="bench")


def spec_files(size: int) -> list[SpecFile]:
    files = []
    for first in range(0, size, PER_TENANT):
        names = [f"model-{number}" for number in range(first, min(first + PER_TENANT, size))]
        models = "".join(
            f"  {name}:\n    versions: {{v1: {{artifact: {name}.joblib}}, v2: {{artifact: {name}-2.joblib}}}}\n"
            for name in names
        )
        deployments = "".join(
            f"  {name}:\n    model: {name}\n    version: v1\n    replicas: {{min: 1, max: 3}}\n"
            "    env: {LEVEL: info}\n"
            for name in names
        )
        tenant = f"team-{first // PER_TENANT}"
        text = f"apiVersion: kubeserve.io/v1\ntenant: {tenant}\nmodels:\n{models}deployments:\n{deployments}"
        files.append(SpecFile(f"{tenant}/kubeserve.yaml", text.encode()))
    return files


def versions_of(tenant: TenantSpec) -> dict[ResourceId, DesiredVersion]:
    return {
        version_id(tenant.name, v.model, v.name): version(tenant.name, v.model, v.name)
        for model in tenant.models.values()
        for v in model.versions.values()
    }


def fill(target: MemoryTarget, desired: Desired) -> None:
    """Makes the target run all of it."""
    prepared = target.prepare(desired, target.observe(Scope()))
    for resource in (*desired.tenants, *desired.variants):
        prepared.ensure(resource)
    for deployment in desired.deployments:
        prepared.route(deployment)


def change_a_tenth(desired: Desired) -> Desired:
    """The same graph without every tenth deployment."""
    kept = {d.id: d for number, d in enumerate(desired.deployments.values()) if number % 10}
    return Desired(desired.tenants, desired.versions, kept, desired.variants)


def timed(function: Callable[[], T]) -> tuple[float, T]:
    times = []
    for _ in range(RUNS):
        gc.collect()
        gc.disable()  # as the commands do
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
        gc.enable()
    return statistics.median(times), result


if __name__ == "__main__":
    main()
