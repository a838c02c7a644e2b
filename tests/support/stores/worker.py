"""A process that uses a store, to be watched or killed: `python -m tests.support.stores.worker ACTION STORE MIB CACHE`.

STORE is a folder, or ENDPOINT/BUCKET with credentials in the environment. It ends with one line of JSON: the outcome,
and by how many bytes its memory grew while it worked.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.artifacts.protocol import ArtifactStore, Content, StoreError, VersionRef
from runtime.formats import Format
from runtime.manifest import Manifest
from tests.support.stores.rooms import at_once

MIB = 1024 * 1024
HALFWAY = "halfway"
CROWD = 8  # how many are put at once by the action crowd


class Big:
    """A version of a model of so many MiB, of which no more than one is ever in memory."""

    def __init__(self, mebibytes: int) -> None:
        self.size = mebibytes
        sha256 = hashlib.sha256()
        for chunk in self.chunks():
            sha256.update(chunk)
        self.manifest = Manifest.of(Format.ONNX, sha256.hexdigest())
        self.ref = VersionRef("fraud", "churn", "v1", self.manifest.digest)

    def chunks(self) -> Iterator[bytes]:
        for index in range(self.size):
            yield index.to_bytes(8, "big") * (MIB // 8)

    def contents(self, *, pause: bool = False) -> dict[str, Content]:
        """`pause`: says so when half of it was read, and waits to be killed."""

        @contextmanager
        def opened() -> Generator[Iterator[bytes]]:
            yield halting() if pause else self.chunks()

        def halting() -> Iterator[bytes]:
            for index, chunk in enumerate(self.chunks()):
                if index == self.size // 2:
                    print(HALFWAY, flush=True)
                    sys.stdin.read()
                yield chunk

        return {self.manifest.artifact.name: Content(opened, self.size * MIB)}


def open_named(name: str) -> ArtifactStore:
    if name.startswith("http"):
        from reconciler.artifacts.s3.client import S3Settings
        from reconciler.artifacts.s3.store import S3Store

        endpoint, _, bucket = name.rpartition("/")
        store = S3Store(bucket, "models/", S3Settings(endpoint, path_style=True))
        store.list("nobody")  # so that what a client takes is there before
        return store
    from reconciler.artifacts.filesystem import FilesystemStore

    return FilesystemStore(Path(name))


def peak() -> int:
    """The most bytes of memory that this process had; getrusage would count its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def work(action: str, store: ArtifactStore, big: Big, cache: Path) -> str:
    try:
        if action == "fetch":
            return str(store.fetch(big.ref, cache))
        for outcome in at_once(CROWD if action == "crowd" else 1, lambda index: put(store, big, index, action)):
            if outcome is not None:
                raise outcome
    except StoreError as error:
        return error.summary
    return "stored"


def put(store: ArtifactStore, big: Big, index: int, action: str) -> None:
    ref = replace(big.ref, version=f"v{index + 1}")
    store.put(ref, big.manifest, big.contents(pause=action == "put-and-wait"), lambda _: None)


def start(
    action: str, store: str, mebibytes: int, cache: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Begins it; `finish` waits for its last line."""
    command = [sys.executable, "-m", "tests.support.stores.worker", action, store, str(mebibytes), str(cache or "")]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        cwd=Path(__file__).parents[3],
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    action, name, mebibytes, cache = sys.argv[1:]
    limit = os.environ.get("FILE_SIZE_LIMIT")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    store, big = open_named(name), Big(int(mebibytes))
    before = peak()
    outcome = work(action, store, big, Path(cache))
    print(json.dumps({"outcome": outcome, "grown": peak() - before}))


if __name__ == "__main__":
    main()
