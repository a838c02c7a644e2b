"""S3 servers for tests, over real HTTP: moto's, rclone's, and versitygw, which enforces accounts and bucket policies.

Each runs as a process of its own for as long as its context lasts. versitygw is taken from the environment variable
KUBESERVE_TEST_VERSITYGW (the path of the binary), from a file of that name in the folder KUBEBUILDER_ASSETS, or from
PATH; it is a single binary, released at https://github.com/versity/versitygw.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from reconciler.artifacts.s3.client import S3Settings
from reconciler.artifacts.s3.store import S3Store

START_SECONDS = 30
NO_VERSITYGW = (
    "no versitygw: name its binary by KUBESERVE_TEST_VERSITYGW, or put it on PATH or into the folder "
    "KUBEBUILDER_ASSETS (https://github.com/versity/versitygw/releases)"
)


@dataclass(frozen=True)
class S3Server:
    """A running server, seen by one of its accounts."""

    endpoint: str
    access_key: str = "test-root"
    secret_key: str = "test-root-secret"

    @cached_property
    def client(self) -> Any:
        """boto3's own, for what the store does not do: buckets, policies, looking behind it."""
        import boto3
        from botocore.config import Config

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    def make_bucket(self) -> str:
        """A new one, so that tests share a server and nothing else."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    def environment(self) -> dict[str, str]:
        """Its account as boto3's usual chain finds it, and nothing of this machine's own configuration."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def store(self, bucket: str, prefix: str = "models/", *, attempts: int = 3) -> S3Store:
        """A store whose account is that of the environment when it is first used."""
        return S3Store(bucket, prefix, S3Settings(self.endpoint, path_style=True, attempts=attempts))

    def account(self, access_key: str, secret_key: str) -> S3Server:
        return replace(self, access_key=access_key, secret_key=secret_key)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Makes this account that of the environment."""
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)


@contextmanager
def moto_server(folder: Path) -> Generator[S3Server]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running("moto", command, folder, port) as endpoint:
        yield S3Server(endpoint)


@contextmanager
def rclone_server(folder: Path) -> Generator[S3Server]:
    """It ignores conditions on writes, and reports no checksum that it computed itself."""
    port, data = free_port(), folder / "data"
    data.mkdir(parents=True)
    rclone = str(Path(sys.executable).with_name("rclone"))
    server = S3Server("")
    command = [rclone, "serve", "s3", str(data), "--addr", f"127.0.0.1:{port}", "--config", str(folder / "none.conf")]
    command += ["--auth-key", f"{server.access_key},{server.secret_key}"]
    with _running("rclone", command, folder, port) as endpoint:
        yield replace(server, endpoint=endpoint)


@contextmanager
def versity_server(folder: Path) -> Generator[S3Server]:
    """Skips the test where there is no binary."""
    binary = find_versitygw()
    if binary is None:
        pytest.skip(NO_VERSITYGW)
    port, parts = free_port(), {name: folder / name for name in ("data", "accounts", "meta")}
    for part in parts.values():
        part.mkdir(parents=True)
    server = S3Server("")
    command = [str(binary), "--port", f"127.0.0.1:{port}", "--iam-dir", str(parts["accounts"]), "--quiet"]
    command += ["posix", "--sidecar", str(parts["meta"]), str(parts["data"])]
    root = {"ROOT_ACCESS_KEY": server.access_key, "ROOT_SECRET_KEY": server.secret_key}
    with _running("versitygw", command, folder, port, root) as endpoint:
        yield replace(server, endpoint=endpoint)


def find_versitygw() -> Path | None:
    named = os.environ.get("KUBESERVE_TEST_VERSITYGW")
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = shutil.which("versitygw")
    candidates = [named, f"{assets}/versitygw" if assets else None, found]
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)


def add_account(server: S3Server, name: str) -> S3Server:
    """A new account of versitygw that may do nothing yet."""
    binary = find_versitygw()
    assert binary is not None
    secret = uuid.uuid4().hex
    admin = [str(binary), "admin", "-a", server.access_key, "-s", server.secret_key, "-er", server.endpoint]
    user = ["create-user", "--access", name, "--secret", secret, "--role", "user"]
    subprocess.run([*admin, *user], check=True, capture_output=True, timeout=30)
    return server.account(name, secret)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _running(
    name: str, command: Sequence[str], folder: Path, port: int, extra: dict[str, str] | None = None
) -> Generator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(extra or {})})
    try:
        _await_port(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the server does not answer on port {port}:\n{log.read_text(errors='replace')}")
