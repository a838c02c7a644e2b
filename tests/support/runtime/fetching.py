"""A version in a bucket behind a proxy, and `kubeserve-fetch` that brings it into a folder: here, or as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.fetch.command import run
from runtime.fetch.retries import Patience
from runtime.fetch.transfer import PART
from runtime.manifest import verify_folder
from tests.support.network.fault_proxy import FaultProxy, fault_proxy
from tests.support.runtime.versions import MIB, Version, some_bytes
from tests.support.stores.s3_servers import S3Server

ROOT = Path(__file__).parents[3]
MODEL_PARTS = 3
IMPATIENCE = Patience(tries=3, base=0.01)


@dataclass
class Place:
    """A bucket with one version in it, behind a proxy, and a folder to fetch it into."""

    proxy: FaultProxy
    bucket: str
    version: Version
    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "artifacts"

    @property
    def environment(self) -> dict[str, str]:
        ref = self.version.ref
        return self.proxy.server.environment() | {
            "KUBESERVE_STORE_ENDPOINT": self.proxy.server.endpoint,
            "KUBESERVE_STORE_BUCKET": self.bucket,
            "KUBESERVE_STORE_PREFIX": "models/",
            "KUBESERVE_STORE_PATH_STYLE": "true",
            "KUBESERVE_TENANT": ref.tenant,
            "KUBESERVE_MODEL": ref.model,
            "KUBESERVE_VERSION": ref.version,
            "KUBESERVE_DIGEST": ref.digest,
            "KUBESERVE_ARTIFACTS": str(self.folder),
            "KUBESERVE_REASON_FILE": str(self.root / "reason"),
        }

    def key(self, name: str) -> str:
        return f"models/{self.version.ref.folder}{name}"

    def fetch(self, **changed: str) -> dict[str, str]:
        """What it wrote as its reason, in this process; empty where the version was fetched."""
        reason = self.root / "reason"
        reason.unlink(missing_ok=True)
        code = run(self.environment | changed, IMPATIENCE)
        if code == 0:
            verify_folder(self.folder, self.version.ref.digest)
            return {}
        assert code == 1
        (line,) = reason.read_text().splitlines()
        found: dict[str, str] = json.loads(line)
        assert not (self.folder / "manifest.json").exists()
        return found

    def start(self, *, code: str | None = None, **changed: str) -> subprocess.Popen[str]:
        """The command, or code that runs it, in a process of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBESERVE_"))}
        return subprocess.Popen(
            [sys.executable, *(("-c", code) if code else ("-m", "runtime.fetch"))],
            env=kept | self.environment | changed,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def asked(self, name: str) -> int:
        return sum(request.endswith(name) for request in self.proxy.seen)


@contextmanager
def place_on(server: S3Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Place]:
    server.use(monkeypatch)
    bucket, version = server.make_bucket(), Version(some_bytes((MODEL_PARTS - 1) * PART + MIB), b"numpy\n")
    version.put(server.store(bucket))
    with fault_proxy(server) as proxy:
        yield Place(proxy, bucket, version, root)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output
