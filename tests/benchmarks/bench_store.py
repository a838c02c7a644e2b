"""How fast bytes get into a store and out of it, beside a plain copy and boto3's own upload in the same run.

    python -m tests.benchmarks.bench_store [--mib 256] [--rounds 3]

Each figure is the best of the rounds. The S3 server is versitygw where there is one, else rclone's.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from reconciler.artifacts import contents
from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.artifacts.protocol import ArtifactStore, VersionRef
from runtime.formats import Format
from runtime.manifest import Manifest, sha256_of
from tests.support.runtime.versions import MIB, silent
from tests.support.stores.s3_servers import S3Server, find_versitygw, rclone_server, versity_server


class Bench:
    def __init__(self, folder: Path, mebibytes: int, rounds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self.size = mebibytes
        self.file = folder / "model.onnx"
        with self.file.open("wb") as file:
            file.write(b"\x08")
            for _ in range(mebibytes):
                file.write(os.urandom(MIB))
        self.manifest = Manifest.of(Format.ONNX, sha256_of(self.file))

    def best(self, *ways: Callable[[], object], before: Callable[[], object] = lambda: None) -> list[float]:
        """MiB/s of each way's fastest round; the ways take turns. `before` undoes what a way did, off the clock."""
        seconds = [math.inf] * len(ways)
        for _ in range(self.rounds):
            for index, way in enumerate(ways):
                before()
                start = time.perf_counter()
                way()
                seconds[index] = min(seconds[index], time.perf_counter() - start)
        return [self.size / best for best in seconds]

    @property
    def ref(self) -> VersionRef:
        return VersionRef("fraud", "churn", "v1", self.manifest.digest)

    def put(self, store: ArtifactStore) -> None:
        content = contents.artifact(self.file, 1 << 40).content
        store.put(self.ref, self.manifest, {self.manifest.artifact.name: content}, silent)


def on_disk(bench: Bench) -> None:
    store, copy = FilesystemStore(bench.folder / "store"), bench.folder / "copy"

    def clear() -> None:
        copy.unlink(missing_ok=True)
        store.remove(bench.ref)

    plain, put = bench.best(lambda: copied(bench.file, copy), lambda: bench.put(store), before=clear)
    show("plain copy and fsync", plain)
    show("folder: put (hashed, synced, read back)", put, plain)
    bench.put(store)
    [fetched] = bench.best(lambda: store.fetch(bench.ref, bench.folder))
    show("folder: fetch (verified)", fetched, plain)


def on_s3(bench: Bench, server: S3Server, name: str) -> None:
    os.environ.update(server.environment())
    bucket, client = server.make_bucket(), server.client
    store = server.store(bucket)
    raw, cache = bench.folder / "raw", bench.folder / "cache"

    def clear() -> None:
        client.delete_object(Bucket=bucket, Key="raw")
        store.remove(bench.ref)

    def clear_local() -> None:
        raw.unlink(missing_ok=True)
        shutil.rmtree(cache, ignore_errors=True)

    up, put = bench.best(
        lambda: client.upload_file(str(bench.file), bucket, "raw"), lambda: bench.put(store), before=clear
    )
    show(f"{name}: boto3 upload", up)
    show(f"{name}: put (verified)", put, up)
    client.upload_file(str(bench.file), bucket, "raw")
    down, fetched = bench.best(
        lambda: client.download_file(bucket, "raw", str(raw)),
        lambda: store.fetch(bench.ref, cache),
        before=clear_local,
    )
    show(f"{name}: boto3 download", down)
    show(f"{name}: fetch (verified)", fetched, down)
    store.fetch(bench.ref, cache)
    [again] = bench.best(lambda: store.fetch(bench.ref, cache))
    show(f"{name}: fetch again (verified)", again)


def copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def show(what: str, rate: float, beside: float | None = None) -> None:
    ratio = f"{rate / beside:6.2f} of it" if beside else ""
    print(f"{what:<45}{rate:>9.0f} MiB/s {ratio}")


@contextmanager
def s3_server(folder: Path) -> Generator[tuple[S3Server, str]]:
    starter, name = (versity_server, "versitygw") if find_versitygw() else (rclone_server, "rclone")
    with starter(folder) as server:
        yield server, name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder, options.mib, options.rounds)
        on_disk(bench)
        with s3_server(folder / "s3") as (server, what):
            on_s3(bench, server, what)


if __name__ == "__main__":
    main()
