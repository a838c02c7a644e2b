"""What something costs: time, CPU and memory of a process with all that it waited for; requests that a server saw."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

MEMORY_SECONDS = 0.05  # between two looks at it


@dataclass(frozen=True)
class Cost:
    wall: float  # seconds
    cpu: float  # seconds, of the process and of what it started and waited for
    memory: float  # MiB, the most that the process itself had at once

    def __str__(self) -> str:
        memory = (
            f"{self.memory:5.0f} MiB" if self.memory else f"{'':9}"
        )  # not told of what runs in the benchmark itself
        return f"{self.wall:7.2f} s wall {self.cpu:6.2f} s CPU {memory}"


def timed(start: Callable[[], subprocess.Popen[bytes]]) -> tuple[Cost, int, str]:
    """Runs a process to its end, reading what it prints: cost, exit code, output."""
    begun = time.perf_counter()
    process = start()
    assert process.stdout is not None
    peak = [0.0]
    watching = threading.Thread(target=_watch_memory, args=(process.pid, peak), daemon=True)
    watching.start()
    output = process.stdout.read().decode()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = code = os.waitstatus_to_exitcode(status)
    watching.join()
    return Cost(wall, used.ru_utime + used.ru_stime, peak[0]), code, output


def _watch_memory(pid: int, peak: list[float]) -> None:
    """Until it ends. What `wait4` says is no less than the memory of the process that started it."""
    status = Path(f"/proc/{pid}/status")
    with suppress(OSError, ValueError):  # it has ended
        while True:
            lines = status.read_text().splitlines()
            (peak[0],) = (int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
            time.sleep(MEMORY_SECONDS)


def requests_by_verb(metrics: str) -> Counter[str]:
    """Of an API server's metrics: how many requests of each verb it has answered, watches aside."""
    return _requests(metrics, lambda labels: labels["verb"])


def lists_by_resource(metrics: str) -> Counter[str]:
    return _requests(metrics, lambda labels: labels["resource"] if labels["verb"] == "LIST" else "")


def server_cpu(metrics: str) -> float:
    """Seconds that the API server has worked."""
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "process_cpu_seconds_total":
                return float(sample.value)
    return 0.0


def _requests(metrics: str, key: Callable[[Mapping[str, str]], str]) -> Counter[str]:
    chosen = "\n".join(line for line in metrics.splitlines() if line.startswith("apiserver_request_total{"))
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(chosen + "\n"):
        for sample in family.samples:
            name = key(sample.labels) if sample.labels["verb"] not in ("WATCH", "CONNECT") else ""
            if name:
                found[name] += int(sample.value)
    return found
