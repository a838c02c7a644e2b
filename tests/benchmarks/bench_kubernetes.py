"""Whole rounds against a cluster: cold, nothing to do, one changed, drifted, pruned; beside the server's own limit.

Run by hand against a cluster with pretended nodes and controllers, as its administrator:
`KUBESERVE_TEST_KUBECONFIG=… python -m tests.benchmarks.bench_kubernetes [DEPLOYMENTS …]`. The peers get the same
objects in namespaces of their own, which are gone before the next begins: a bare asynchronous flood of the patches,
before and after ours, which is what the server can take; and `kubectl apply --server-side`. CPU is ours and helm's
together. Requests are the API server's own count, with its controllers' among them.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.cluster.fleet import Fleet
from tests.benchmarks.cluster.meter import Cost, lists_by_resource, requests_by_verb, server_cpu
from tests.benchmarks.cluster.server import Server
from tests.support.stores.s3_servers import S3Server, moto_server

SIZES = (200, 1_000)
DRIFTED_EVERY = 100
PRUNED_EVERY = 10


@dataclass(frozen=True)
class Row:
    name: str
    cost: Cost
    requests: Counter[str]
    lists: Counter[str]
    server_cpu: float
    objects: int = 0

    def __str__(self) -> str:
        text = f"  {self.name:<34} {self.cost}  API server {self.server_cpu:6.2f} s CPU"
        if self.objects:
            text += f"  {self.objects / self.cost.wall:6.1f} objects/s"
            text += f" {self.cost.cpu / self.objects * 1e3:5.2f} ms CPU an object"
        verbs = " ".join(f"{verb} {count:,}" for verb, count in sorted(self.requests.items()))
        return f"{text}\n  {'':<34} {verbs}"


def main() -> None:
    kubeconfig = os.environ.get("KUBESERVE_TEST_KUBECONFIG")
    if not kubeconfig:
        raise SystemExit("Name the kubeconfig of a cluster with pretended nodes in KUBESERVE_TEST_KUBECONFIG.")
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as folder, moto_server(Path(folder)) as s3:
        found = [Comparison(Path(folder, str(size)), size, Path(kubeconfig), s3).measure() for size in sizes]
    for size, rows in zip(sizes[1:], found[1:], strict=True):
        growth(sizes[0], found[0], size, rows)


class Comparison:
    """One size: ours and its peers, on one cluster, one after the other."""

    def __init__(self, folder: Path, size: int, kubeconfig: Path, s3: S3Server) -> None:
        self.size = size
        self.server = Server(kubeconfig)
        self.folder = folder
        self.fleet = Fleet(folder / "fleet", size, f"own{secrets.token_hex(2)}", kubeconfig, s3)
        self.rows: dict[str, Row] = {}

    def measure(self) -> dict[str, Row]:
        self.fleet.write()
        objects = self.fleet.rendered()
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in Counter(one["kind"] for one in objects).most_common())
        print(
            f"{self.size:,} deployments of {self.fleet.tenants} tenants: {len(objects):,} objects ({kinds})", flush=True
        )
        floods = [self._flood(objects, "flood before")]
        self._kubectl(objects)
        self._ours(len(objects))
        floods.append(self._flood(objects, "flood after"))
        self._judge(floods)
        return self.rows

    def _flood(self, objects: Sequence[dict[str, Any]], name: str) -> Row:
        mark = f"fl{secrets.token_hex(2)}"
        moved = list(self.fleet.moved(objects, mark))
        row = self._row(name, lambda: self.server.flood(moved), len(moved))
        self.server.remove_namespaces(f"{mark}-")
        return row

    def _kubectl(self, objects: Sequence[dict[str, Any]]) -> None:
        mark = f"kc{secrets.token_hex(2)}"
        file = self.folder / "objects.yaml"
        moved = self.fleet.moved(objects, mark)
        file.write_text(yaml.dump_all(moved, Dumper=yaml.CSafeDumper, sort_keys=False))
        self._row("kubectl, cold", lambda: self.server.kubectl_apply(file), len(objects))
        self._row("kubectl, unchanged", lambda: self.server.kubectl_apply(file))
        self.server.remove_namespaces(f"{mark}-")

    def _ours(self, objects: int) -> None:
        fleet = self.fleet
        self._row("kubeserve apply, cold", lambda: fleet.run("apply", "--yes")[0], objects)
        self._row("kubeserve plan, nothing to do", lambda: fleet.run("plan", "--detailed-exitcode")[0])
        self._row("kubeserve apply, nothing to do", lambda: fleet.run("apply", "--yes")[0])
        fleet.change(self.size // 2)
        self._row("kubeserve apply, one changed", lambda: fleet.run("apply", "--yes")[0])
        drifted = self.server.drift(fleet.namespace, range(0, self.size, DRIFTED_EVERY))
        self._row(f"kubeserve apply, {drifted} drifted", lambda: fleet.run("apply", "--yes")[0])
        pruned = fleet.prune(PRUNED_EVERY)
        self._row(f"kubeserve apply, {pruned} pruned", lambda: fleet.run("apply", "--yes")[0])
        fleet.run("destroy", "--yes", codes=(0, 1))
        self.server.remove_namespaces(fleet.prefix)

    def _row(self, name: str, work: Callable[[], Cost], objects: int = 0) -> Row:
        before = self.server.metrics()
        cost = work()
        after = self.server.metrics()
        row = Row(
            name,
            cost,
            requests_by_verb(after) - requests_by_verb(before),
            lists_by_resource(after) - lists_by_resource(before),
            server_cpu(after) - server_cpu(before),
            objects,
        )
        print(row, flush=True)
        self.rows[name.translate(DIGITS)] = row
        return row

    def _judge(self, floods: Sequence[Row]) -> None:
        limit = sum(row.objects for row in floods) / sum(row.cost.wall for row in floods)
        cold, idle = self.rows["kubeserve apply, cold"], self.rows["kubeserve plan, nothing to do"]
        peer = self.rows["kubectl, cold"]
        print(f"  cold: {cold.objects / cold.cost.wall / limit:.2f} of the flood", end="")
        print(f" (kubectl {peer.objects / peer.cost.wall / limit:.2f})", end="")
        print(f", {cold.cost.cpu / cold.objects * 1e3:.2f} ms of CPU an object")
        lists = ", ".join(f"{resource} {count}" for resource, count in sorted(idle.lists.items()))
        print(
            f"  nothing to do: {idle.cost.cpu:.2f} s of CPU, {idle.cost.wall:.2f} s; LISTs that the server saw: {lists}"
        )


DIGITS = {ord(digit): None for digit in "0123456789"}
"""Removed from a row's name: rows of two sizes have one name."""


def growth(small: int, before: dict[str, Row], size: int, after: dict[str, Row]) -> None:
    print(f"From {small:,} to {size:,} deployments, x{size / small:.1f}:")
    for name, row in after.items():
        first = before[name]
        requests = sum(row.requests.values()) / max(1, sum(first.requests.values()))
        print(
            f"  {name:<34} CPU x{row.cost.cpu / first.cost.cpu:5.1f}  wall x{row.cost.wall / first.cost.wall:5.1f}"
            f"  memory x{row.cost.memory / (first.cost.memory or 1):4.1f}  requests x{requests:5.1f}"
        )


if __name__ == "__main__":
    main()
