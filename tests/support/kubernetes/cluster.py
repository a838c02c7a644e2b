"""A real API server for tests: one that the environment names, or one that is started from its binaries.

KUBESERVE_TEST_KUBECONFIG names a cluster's kubeconfig (kind, k3d, anything); else KUBEBUILDER_ASSETS names a folder
with `etcd` and `kube-apiserver`, as `setup-envtest use -p path` prints; else the tests skip.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.client.settings import ClusterSettings

START_SECONDS = 60.0
REASON = (
    "no cluster: name a kubeconfig in KUBESERVE_TEST_KUBECONFIG, or in KUBEBUILDER_ASSETS a folder with etcd and "
    "kube-apiserver (`setup-envtest use -p path` prints one)"
)


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path
    full: bool  # with controllers and nodes, so that pods become ready

    def need_pretended_nodes(self) -> None:
        """Skips where nodes are real or missing: what is tested wants pods that fail on purpose, as kwok's do."""
        if not self.full or not self._pretends():
            pytest.skip("no pretended nodes: name the kubeconfig of a cluster with kwok in KUBESERVE_TEST_KUBECONFIG")

    def _pretends(self) -> bool:
        kube = KubeClient(ClusterSettings(self.kubeconfig))
        nodes = kube.list("v1", "Node")
        kube.close()
        return bool(nodes) and all(node["status"]["nodeInfo"]["osImage"] == "fake" for node in nodes)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster that the environment provides; skips where it provides none."""
    named = os.environ.get("KUBESERVE_TEST_KUBECONFIG")
    if named:
        yield Cluster(Path(named), full=True)
        return
    with bare_cluster(folder) as found:
        yield found


@contextmanager
def bare_cluster(folder: Path) -> Iterator[Cluster]:
    """An API server of its own, without controllers and without anybody's custom resources; skips where its binaries
    are not there."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets or not (Path(assets) / "kube-apiserver").exists():
        pytest.skip(REASON)
    with _api_server(Path(assets), folder) as kubeconfig:
        yield Cluster(kubeconfig, full=False)


@contextmanager
def _api_server(assets: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    etcd_port, peer_port, port = (_free_port() for _ in range(3))
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    key = folder / "service-accounts.key"
    key.write_bytes(_rsa_key())
    processes = [
        _start(
            folder / "etcd.log",
            assets / "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            "--unsafe-no-fsync",
        ),
        _start(
            folder / "apiserver.log",
            assets / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--disable-admission-plugins=ServiceAccount",
            "--service-cluster-ip-range=10.96.0.0/16",
        ),
    ]
    try:
        _wait_ready(port, token, folder / "apiserver.log")
        yield _kubeconfig(folder, port, token)
    finally:
        for process in processes:
            process.kill()  # nothing of it is kept
            process.wait()


def _rsa_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _start(log: Path, *command: str | Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def _kubeconfig(folder: Path, port: int, token: str) -> Path:
    path = folder / "kubeconfig"
    server = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(folder / "certificates" / "apiserver.crt"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(document))
    return path


def _wait_ready(port: int, token: str, log: Path) -> None:
    context = ssl._create_unverified_context()
    request = urllib.request.Request(f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(request, context=context, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the API server did not start:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
