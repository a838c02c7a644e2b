"""What an administrator sees and does in the namespaces of an installation, with kubectl and all rights.

For the tests' own part on a cluster whose pods run: what `kubeserve` itself does there it does with its own rights.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from tests.support.kubernetes.bench import kubectl
from tests.support.kubernetes.rights import as_service_account
from tests.support.patience import PATIENCE_SECONDS


class Administered:
    """An installation whose tenants' namespaces are called NAME-TENANT."""

    def __init__(self, kubeconfig: Path, folder: Path, name: str) -> None:
        self.kubeconfig, self.folder, self.name = kubeconfig, folder, name
        self.home = f"{name}-home"

    def kubectl(self, *arguments: str, stdin: str = "", **variables: str) -> str:
        """What an administrator types."""
        done = self._kubectl(*arguments, stdin=stdin, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def namespace(self, tenant: str) -> str:
        return f"{self.name}-{tenant}"

    def host(self, tenant: str, name: str) -> str:
        """The stable Service's, inside the cluster."""
        return f"{name}.{self.namespace(tenant)}.svc"

    def ask_service(self, tenant: str, name: str, path: str) -> str:
        """The answer of the stable Service, through the API server."""
        proxy = f"/api/v1/namespaces/{self.namespace(tenant)}/services/{name}:http/proxy/{path}"
        answer = self.kubectl("create", "--raw", proxy, "-f", "-", stdin='{"inputs": [[1]]}')
        (found,) = json.loads(answer)["predictions"]
        return str(found)

    def workload(self, tenant: str, name: str) -> dict[str, Any]:
        """The one Deployment of a deployment."""
        (found,) = self.objects("deployments", tenant, f"kubeserve.io/deployment={name}")
        return found

    def pods(self, tenant: str, name: str) -> set[str]:
        """Names of a deployment's pods that stay."""
        found = [one["metadata"] for one in self.objects("pods", tenant, f"kubeserve.io/deployment={name}")]
        return {one["name"] for one in found if "deletionTimestamp" not in one}

    def in_pod(self, tenant: str, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """How a command in the server's container of a deployment's pod ended."""
        words = ("exec", "-n", self.namespace(tenant), f"deployment/{self.workload(tenant, name)['metadata']['name']}")
        return self._kubectl(*words, "-c", "server", "--", *command)

    def objects(self, kinds: str, tenant: str, labels: str = "") -> list[dict[str, Any]]:
        command = ["get", kinds, "-n", self.namespace(tenant), "-o", "json", *(["-l", labels] if labels else [])]
        found: list[dict[str, Any]] = json.loads(self.kubectl(*command))["items"]
        return found

    def somebody(self, tenant: str, *rights: str) -> Path:
        """The kubeconfig of an account that may do these in a tenant's namespace, and no more: `verb:resource`."""
        name, namespace = f"user-{secrets.token_hex(3)}", self.namespace(tenant)
        self.kubectl("create", "serviceaccount", name, "-n", self.home)
        for right in rights:
            verb, _, resource = right.partition(":")
            role = f"{name}-{verb}-{resource.replace('/', '-')}"
            self.kubectl("create", "role", role, "-n", namespace, f"--verb={verb}", f"--resource={resource}")
            subject = f"--serviceaccount={self.home}:{name}"
            self.kubectl("create", "rolebinding", role, "-n", namespace, f"--role={role}", subject)
        return as_service_account(self.kubeconfig, (self.home, name), self.folder / name)

    def _kubectl(self, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [kubectl(), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            timeout=PATIENCE_SECONDS,
        )
