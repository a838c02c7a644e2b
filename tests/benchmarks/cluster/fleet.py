"""A platform of many tenants as a directory, and the real `kubeserve` command on it, each run with its cost."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from tests.benchmarks.cluster.meter import Cost, timed
from tests.support.cli.desk import command_line, environment
from tests.support.kubernetes.helm import helm
from tests.support.runtime.models import write_python_predictor
from tests.support.stores.s3_servers import S3Server

IMAGE = "registry.example.org/runtime:1"
PER_TENANT = 20
PREDICTOR = """
class Predictor:
    def __init__(self, path):
        pass

    def predict(self, inputs):
        return inputs
"""


@dataclass
class Fleet:
    """So many deployments, twenty a tenant, all of a tenant's of one model. `mark` tells fleets in a cluster apart."""

    folder: Path
    size: int
    mark: str
    kubeconfig: Path
    s3: S3Server
    generations: dict[int, int] = field(default_factory=dict)  # of deployments that were changed: how often
    pruned: set[int] = field(default_factory=set)

    @property
    def tenants(self) -> int:
        return -(-self.size // PER_TENANT)

    @property
    def prefix(self) -> str:
        return f"{self.mark}-"

    def namespace(self, number: int) -> str:
        """Of a deployment's tenant."""
        return f"{self.prefix}team-{number // PER_TENANT}"

    def write(self) -> None:
        """The operator's file, and every tenant's spec and model."""
        self.folder.mkdir(parents=True, exist_ok=True)
        store = {"type": "s3", "bucket": self.s3.make_bucket(), "endpoint": self.s3.endpoint, "pathStyle": True}
        access = {"serviceAccountAnnotations": {"example.org/role": "reader"}}
        quota = {"cpu": "100", "memory": "100Gi", "pods": 4 * PER_TENANT}
        names = [f"team-{number}" for number in range(self.tenants)]
        operator = {
            "apiVersion": "kubeserve.io/v1",
            "installation": self.mark,
            "target": "kubernetes",
            "sources": [{"name": "here", "path": "."}],
            "artifactStore": {**store, "podAccess": access},
            "runtime": {"image": IMAGE},
            "kubernetes": {"namespacePrefix": self.prefix, "namespace": f"{self.prefix}system"},
            "tenants": {name: {"paths": [f"{name}/**"], "quota": quota} for name in names},
        }
        (self.folder / "platform.yaml").write_text(yaml.safe_dump(operator, sort_keys=False))
        for number in range(self.tenants):
            write_python_predictor(self.folder / f"team-{number}" / "model", PREDICTOR)
            self.write_tenant(number)

    def write_tenant(self, tenant: int) -> None:
        first = tenant * PER_TENANT
        kept = [n for n in range(first, min(first + PER_TENANT, self.size)) if n not in self.pruned]
        document = {
            "apiVersion": "kubeserve.io/v1",
            "tenant": f"team-{tenant}",
            "models": {"m": {"versions": {"v1": {"artifact": "model"}}}},
            "deployments": {f"d-{number}": self._deployment(number) for number in kept},
        }
        (self.folder / f"team-{tenant}" / "kubeserve.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def _deployment(self, number: int) -> dict[str, Any]:
        generation = self.generations.get(number, 0)
        return {
            "model": "m",
            "version": "v1",
            "replicas": 1,  # autoscalers that find no metrics would keep the server busy
            "resources": {"cpu": "100m", "memory": "128Mi"},
            **({"env": {"GENERATION": str(generation)}} if generation else {}),
        }

    def change(self, number: int) -> None:
        """One deployment's content, so that a new variant of it has to be rolled out."""
        self.generations[number] = self.generations.get(number, 0) + 1
        self.write_tenant(number // PER_TENANT)

    def prune(self, every: int) -> int:
        """Takes each so manieth deployment out of its spec. Answers how many that were."""
        gone = set(range(0, self.size, every)) - self.pruned
        self.pruned |= gone
        for tenant in range(self.tenants):
            self.write_tenant(tenant)
        return len(gone)

    def run(self, *arguments: str, codes: Sequence[int] = (0,)) -> tuple[Cost, str]:
        """One command to its end, with what it cost and what it printed."""
        variables = {"KUBECONFIG": str(self.kubeconfig), "KUBESERVE_HELM": str(helm()), **self.s3.environment()}
        log = self.folder / "stderr.log"
        with log.open("wb") as errors:
            cost, code, output = timed(
                lambda: subprocess.Popen(
                    command_line(*arguments),
                    cwd=self.folder,
                    env=environment(**variables),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
            )
        if code not in codes:
            raise SystemExit(
                f"kubeserve {' '.join(arguments)} ended with {code}:\n{log.read_text()[-4000:]}\n{output[-2000:]}"
            )
        return cost, output

    def rendered(self) -> list[dict[str, Any]]:
        """Every object that an apply would make."""
        _, output = self.run("render", "-o", "json", "--service-monitors")
        found: list[dict[str, Any]] = orjson.loads(output)["items"]
        return found

    def moved(self, objects: Sequence[dict[str, Any]], mark: str) -> Iterator[dict[str, Any]]:
        """The same objects for namespaces of another mark, so that they are another's to make."""
        text = orjson.dumps(list(objects)).decode()
        yield from orjson.loads(re.sub(rf"\b{re.escape(self.mark)}\b", mark, text))
