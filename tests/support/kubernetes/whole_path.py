"""An installation on a cluster whose pods really run, for `tests/e2e/test_whole_path.py`.

`Installation` has a bucket with an account for each tenant, a repository of two tenants' specs, and the real
`kubeserve` command, which works with the rights of its RBAC manifest and no more. Everything is named afresh, so that
nothing else in the cluster is touched, and what was made in the cluster is removed in the end.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import yaml

from reconciler.targets.kubernetes.tenancy.objects import STORE_SECRET
from specs.models.platform import Platform
from tests.support.cli.desk import Finished, command_line, environment
from tests.support.kubernetes.administered import Administered
from tests.support.kubernetes.helm import helm
from tests.support.kubernetes.real_pods import RealPods, real_pods
from tests.support.kubernetes.rights import rights_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.runtime.models import write_python_predictor
from tests.support.runtime.predictors import ANSWERS
from tests.support.stores.s3_servers import S3Server, add_account

TENANTS = ("fraud", "search")
PREFIX = "models/"
FETCH = "kubeserve-fetch"


class Installation(Administered):
    def __init__(self, place: RealPods, folder: Path) -> None:
        super().__init__(place.kubeconfig, folder, f"e2e-{secrets.token_hex(3)}")
        self.place = place
        self.bucket = place.s3.make_bucket()
        self.limited = folder / "kubeconfig"
        self.quota = {"cpu": "1800m", "memory": "4Gi", "pods": 8}
        self.image = place.image
        self.reaching: dict[str, Any] = {"gateway": place.gateway, "url": place.gateway_url}
        self.removed: tuple[str, ...] = ()
        self.client = httpx2.Client(timeout=10.0)
        for answer in ("v1", "v2"):
            self.predictor(answer, ANSWERS.replace("{answer}", answer))

    def set_up(self) -> None:
        """What an operator does before: platform.yaml, accounts of the store, Secrets with them."""
        self.write_platform()
        accounts = {tenant: add_account(self.place.s3, f"{self.name}-{tenant}") for tenant in TENANTS}
        policy = {"Version": "2012-10-17", "Statement": [self._may_read(t, a) for t, a in accounts.items()]}
        self.place.s3.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))
        for tenant, account in accounts.items():
            keys = {"AWS_ACCESS_KEY_ID": account.access_key, "AWS_SECRET_ACCESS_KEY": account.secret_key}
            literals = [f"--from-literal={key}={value}" for key, value in keys.items()]
            self.kubectl("create", "secret", "generic", f"store-{tenant}", "-n", self.home, *literals)

    @property
    def platform(self) -> Platform:
        return Platform.model_validate(self._platform())

    def predictor(self, version: str, body: str) -> None:
        write_python_predictor(self.folder / "models" / version, body)

    def write_platform(self) -> None:
        (self.folder / "platform.yaml").write_text(yaml.safe_dump(self._platform(), sort_keys=False))

    def spec(self, tenant: str, deployments: Mapping[str, Mapping[str, Any]]) -> None:
        """Deployments of the model `m`, whose versions are the predictors that there are."""
        versions = {path.name: {"artifact": f"../models/{path.name}"} for path in (self.folder / "models").iterdir()}
        small = {"cpu": "200m", "memory": "256Mi"}
        document = {
            "apiVersion": "kubeserve.io/v1",
            "tenant": tenant,
            "models": {"m": {"versions": versions}},
            "deployments": {
                name: {"model": "m", "resources": small, "timeouts": {"drain": "2s"}, **content}
                for name, content in deployments.items()
            },
        }
        file = self.folder / tenant / "kubeserve.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(document, sort_keys=False))

    def forget(self, tenant: str) -> None:
        """The tenant says nothing any more."""
        (self.folder / tenant / "kubeserve.yaml").unlink()

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> Finished:
        """A command of KubeServe, run to its end: with its own rights, or with somebody's."""
        done = subprocess.run(
            command_line(*arguments),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environment(kubeconfig),
            timeout=PATIENCE_SECONDS,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def following(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command of KubeServe with `--follow`, ended at the latest with the block."""
        command = command_line(*arguments, "--follow")
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=self._environment(),
        ) as running:
            try:
                yield running
            finally:
                running.kill()

    def apply(self, *arguments: str, code: int = 0) -> Finished:
        """An apply that has to end with this code."""
        done = self.run("apply", "--yes", *arguments)
        assert done.code == code, f"{done}\n{self._everything()}"
        return done

    def cause(self, tenant: str, name: str) -> str:
        """Why a deployment is Degraded."""
        status = self.status(tenant, name)
        assert status["phase"] == "Degraded", status
        return str(status["message"])

    def status(self, tenant: str, name: str) -> dict[str, Any]:
        (found,) = self.run("status", "-o", "json", "--only", f"{tenant}/{name}").data["deployments"]
        status: dict[str, Any] = found
        return status

    def url(self, tenant: str, name: str) -> str:
        return f"{self.place.gateway_url}/api/v1/predict/{tenant}/{name}"

    def ask(self, tenant: str, name: str) -> str:
        """The answer through the Gateway."""
        answer = self.client.post(self.url(tenant, name), json={"inputs": [[1]]})
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["predictions"]
        return str(found)

    def fetch(self, tenant: str, name: str, *, of: tuple[str, str]) -> subprocess.CompletedProcess[str]:
        """Fetches the version of another deployment with what a deployment's own pod has to fetch its own."""
        own, other = self._fetch_settings(tenant, name), self._fetch_settings(*of)
        wanted = {key: other[key] for key in ("KUBESERVE_TENANT", "KUBESERVE_VERSION", "KUBESERVE_DIGEST")}
        (secret,) = (s for s in self.objects("secrets", tenant) if s["metadata"]["name"] == STORE_SECRET)
        keys = {key: b64decode(value).decode() for key, value in secret["data"].items()}
        changed = {**own, **wanted, **keys, "KUBESERVE_ARTIFACTS": f"/tmp/{secrets.token_hex(3)}"}
        changed["KUBESERVE_REASON_FILE"] = "/dev/null"
        return self.in_pod(tenant, name, "env", *(f"{key}={value}" for key, value in changed.items()), FETCH)

    def alter(self, tenant: str, version: str) -> None:
        """Changes a byte of a stored version behind everybody's back."""
        s3 = self.place.s3.client
        found = s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{PREFIX}{tenant}/m/{version}/")["Contents"]
        for key in (one["Key"] for one in found):
            if not key.endswith("/manifest.json"):
                content = s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                s3.put_object(Bucket=self.bucket, Key=key, Body=content[:-1] + bytes([content[-1] ^ 1]))

    def tear_down(self) -> None:
        self.client.close()
        labels = f"kubeserve.io/installation={self.name}"
        self.kubectl("delete", "httproutes", "--all-namespaces", "-l", labels)  # which others' may be in conflict with
        self.kubectl("delete", "namespace", "--wait=false", "-l", labels)

    def _platform(self) -> dict[str, Any]:
        store = self.place.store(self.bucket, PREFIX)
        kubernetes = {
            "namespacePrefix": f"{self.name}-",
            "namespace": self.home,
            "serviceAccount": f"{self.home}/kubeserve",
            **self.reaching,
            "values": {"autoscaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}},
        }
        tenants = {tenant: self._grant(tenant) for tenant in TENANTS}
        return {
            "apiVersion": "kubeserve.io/v1",
            "installation": self.name,
            "target": "kubernetes",
            "artifactStore": store,
            "runtime": {"image": self.image},
            "kubernetes": kubernetes,
            "tenants": tenants,
        }

    def _grant(self, tenant: str) -> dict[str, Any]:
        grant = {"quota": self.quota, "storeAccess": {"secret": f"{self.home}/store-{tenant}"}}
        return {**grant, "state": "removed"} if tenant in self.removed else grant

    def _may_read(self, tenant: str, account: S3Server) -> dict[str, Any]:
        return {
            "Effect": "Allow",
            "Principal": {"AWS": [account.access_key]},
            "Action": ["s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{self.bucket}/{PREFIX}{tenant}/*"],
        }

    def _fetch_settings(self, tenant: str, name: str) -> dict[str, str]:
        (container,) = self.workload(tenant, name)["spec"]["template"]["spec"]["initContainers"]
        return {one["name"]: one["value"] for one in container["env"] if "value" in one}

    def _environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        beside = {"KUBECONFIG": str(kubeconfig or self.limited), "KUBESERVE_HELM": str(helm())}
        return {**environment(), **self.place.s3.environment(), **beside}

    def _everything(self) -> str:
        """For whoever reads why a test failed."""
        kinds = "pods,deployments,replicasets,services,httproutes"
        found = [self.kubectl("get", kinds, "-n", self.namespace(tenant)) for tenant in TENANTS]
        return "\n".join(found)


@contextmanager
def installation(folder: Path) -> Iterator[Installation]:
    made = Installation(real_pods(), folder)
    with rights_of(made.platform, made.place.kubeconfig, made.limited):
        made.set_up()
        try:
            yield made
        finally:
            made.tear_down()
