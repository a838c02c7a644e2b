"""Rendering 100 and 1,000 variants with their deployments: cold, with one changed, and unchanged.

Run by hand: `python -m tests.benchmarks.bench_render`. Beside it stand the bare limit, one helm call with the same
values whose output nobody reads, and the C parser of YAML over that output. CPU is ours and helm's together.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import yaml

from reconciler.model.resources import Desired
from reconciler.targets.kubernetes.rendering import Renderer
from reconciler.targets.kubernetes.rendering.chart import own_chart
from reconciler.targets.kubernetes.rendering.helm import VARIABLE
from reconciler.targets.kubernetes.rendering.job import deployment_job, variant_job
from reconciler.targets.kubernetes.rendering.values import shared_values
from tests.support.engine.graphs import graph
from tests.support.kubernetes.charts import IMAGE, platform
from tests.support.kubernetes.helm import helm

SIZES = (100, 1_000)
RUNS = 3
PER_TENANT = 20


@dataclass(frozen=True)
class Cost:
    wall: float  # seconds
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:8.3f} s wall {self.cpu:8.3f} s CPU"


def main() -> None:
    os.environ[VARIABLE] = str(helm())
    for size in SIZES:
        measure(size)


def measure(size: int) -> None:
    wanted = desired(size)
    with tempfile.TemporaryDirectory() as folder:
        bare, output = bare_call(wanted, Path(folder))
        parsing = timed(lambda: list(yaml.load_all(output, yaml.CSafeLoader)))
        caches = iter(range(RUNS))
        cold = timed(lambda: render(wanted, Path(folder, f"cache-{next(caches)}")))
        warm = Path(folder, "cache-0")
        unchanged = timed(lambda: render(wanted, warm))
        numbers = iter(range(RUNS))
        changed = timed(lambda: render(one_changed(wanted, next(numbers)), warm))
    objects = sum(1 for line in output.splitlines() if line.startswith("kind: "))
    print(f"{size:,} variants, {objects:,} objects, {len(output) / 2**20:.1f} MiB of YAML")
    print(f"  bare helm call       {bare}")
    print(f"  parsing all of it    {parsing}")
    ratio = f"{cold.wall / bare.wall:.2f} of the bare call, {cold.cpu / objects * 1e3:.2f} ms CPU an object"
    print(f"  cold                 {cold}  {ratio}")
    print(f"  one changed          {changed}  {changed.wall / bare.wall:.2f} of the bare call")
    print(f"  unchanged            {unchanged}  {unchanged.wall / bare.wall:.2f} of the bare call")


def desired(size: int) -> Desired:
    found = graph({f"team-{number // PER_TENANT}/model-{number}": "v1" for number in range(size)})
    variants = {v.id: replace(v, runtime=IMAGE) for v in found.variants.values()}
    return replace(found, variants=variants)


def one_changed(found: Desired, number: int) -> Desired:
    variant = next(iter(found.variants.values()))
    return replace(found, variants={**found.variants, variant.id: replace(variant, env={"RUN": str(number)})})


def render(wanted: Desired, cache: Path) -> None:
    rendered = Renderer(platform(), cache).render(wanted)
    assert not [one.error for one in rendered.values() if one.error]


def bare_call(wanted: Desired, folder: Path) -> tuple[Cost, str]:
    found = platform()
    variants = [variant_job(found, variant).values for variant in wanted.variants.values()]
    deployments = [deployment_job(found, each, wanted).values for each in wanted.deployments.values()]
    values, batch = folder / "values.json", folder / "batch.json"
    values.write_bytes(orjson.dumps(shared_values(found, monitors=False)))
    batch.write_bytes(orjson.dumps({"variants": variants, "deployments": deployments}))
    command = [str(helm()), "template", "bench", str(own_chart()), "--skip-tests", "--values", str(values)]
    command += ["--set-file", f"batch={batch}"]
    cost = timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))
    return cost, subprocess.run(command, capture_output=True, text=True, check=True).stdout


def timed(function: Callable[[], object]) -> Cost:
    """The median of a few runs."""
    walls, cpus = [], []
    for _ in range(RUNS):
        before, start = os.times(), time.perf_counter()
        function()
        walls.append(time.perf_counter() - start)
        cpus.append(sum(os.times()[:4]) - sum(before[:4]))
    return Cost(statistics.median(walls), statistics.median(cpus))


if __name__ == "__main__":
    main()
