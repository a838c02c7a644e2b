"""How long a command takes that has nothing to do, beside the interpreter and the libraries alone.

    python -m tests.benchmarks.bench_cli [--runs 15]

All run in turn, so that a busy machine is busy for each of them alike. A command computes all the time, so on an idle
machine a user waits for its CPU time (user and system), which knows little of other load: the least of it is held
against the budget. The bare limit of a command is the interpreter with the libraries that it can't do without.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.runtime.process import ROOT

QUICKSTART = ROOT / "examples" / "quickstart"
KUBESERVE = ("-m", "reconciler")
BARE = "python -c pass"
CLICK = "python -c 'import click'"
LIBRARIES = "python -c 'import click, pydantic, yaml'"
CASES: dict[str, tuple[tuple[str, ...], str, float | None]] = {
    BARE: (("-c", "pass"), "", None),
    CLICK: (("-c", "import click"), "", None),
    LIBRARIES: (("-c", "import click, pydantic, yaml"), "", None),
    "kubeserve --help": ((*KUBESERVE, "--help"), CLICK, 0.15),
    "kubeserve version": ((*KUBESERVE, "version"), CLICK, None),
    "kubeserve validate": ((*KUBESERVE, "validate"), LIBRARIES, 0.3),
    "kubeserve plan": ((*KUBESERVE, "plan"), LIBRARIES, None),
    "kubeserve status": ((*KUBESERVE, "status"), LIBRARIES, None),
}
"""name -> (arguments of python, what is its bare limit, its budget in seconds)"""


@dataclass(frozen=True, slots=True)
class Took:
    wall: float  # seconds
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs: int = parser.parse_args().runs
    took: dict[str, list[Took]] = {name: [] for name in CASES}
    with quickstart() as folder:
        for arguments, _, _ in CASES.values():  # caches of bytecode and of files are warm from here on
            measure(arguments, folder)
        for _ in range(runs):
            for name, (arguments, _, _) in CASES.items():
                took[name].append(measure(arguments, folder))
    print(f"{'':<44} {'wall':>8} {'best':>8} {'cpu':>8}  to its limit  budget")
    for name, (_, limit, budget) in CASES.items():
        print(row(name, took, limit, budget))


def row(name: str, took: dict[str, list[Took]], limit: str, budget: float | None) -> str:
    cpu = statistics.median(one.cpu for one in took[name])
    wall = statistics.median(one.wall for one in took[name])
    best = min(one.wall for one in took[name])
    cells = f"{name:<44} {wall * 1000:>6.0f}ms {best * 1000:>6.0f}ms {cpu * 1000:>6.0f}ms"
    ratio = f"x{cpu / statistics.median(one.cpu for one in took[limit]):.1f}" if limit else ""
    least = min(one.cpu for one in took[name])
    kept = f"{'kept' if least <= budget else 'MISSED'}: {least:.2f} of {budget:g} s" if budget else ""
    return f"{cells}  {ratio:<12}  {kept}".rstrip()


def measure(arguments: tuple[str, ...], folder: Path) -> Took:
    started = time.perf_counter()
    process = subprocess.Popen(
        (sys.executable, *arguments),
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    return Took(wall, usage.ru_utime + usage.ru_stime)


@contextmanager
def quickstart() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "quickstart"
        shutil.copytree(QUICKSTART, copy, ignore=shutil.ignore_patterns(".kubeserve"))
        yield copy


if __name__ == "__main__":
    main()
