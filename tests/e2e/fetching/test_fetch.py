"""`kubeserve-fetch` against real S3 servers over HTTP: what it brings, keeps and continues."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runtime.fetch.transfer import PART
from runtime.manifest import verify_folder
from tests.support.network.fault_proxy import Break, Fault
from tests.support.patience import eventually
from tests.support.runtime.fetching import ROOT, Place, finished
from tests.support.runtime.versions import MIB, Version, some_bytes
from tests.support.stores.s3_servers import S3Server


def test_a_version_is_fetched_once_and_only_verified_after_that(place: Place) -> None:
    code, output = finished(place.start())
    assert code == 0, output
    assert "Fetched and verified" in output
    verify_folder(place.folder, place.version.ref.digest)
    place.proxy.seen.clear()
    code, output = finished(place.start())
    assert (code, place.proxy.seen) == (0, [])
    assert "verified" in output


def test_a_damaged_folder_is_mended_with_what_it_lacks(any_place: Place) -> None:
    any_place.fetch()
    any_place.proxy.seen.clear()
    (any_place.folder / "requirements.txt").write_text("other\n")
    assert any_place.fetch() == {}
    assert any_place.asked("model.onnx") == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"path": "model.onnx", "breaks": Break.DROP_REQUEST, "times": 2},
        {"path": "model.onnx", "breaks": Break.CUT_ANSWER, "times": 2},
        {"path": "model.onnx", "answer": (500, "InternalError"), "times": 2},
        {"path": "manifest.json", "answer": (503, "SlowDown"), "times": 2},
        {"path": "model.onnx", "breaks": Break.FLIP_ANSWER, "times": 1},
    ],
    ids=["dropped", "cut", "failing", "busy", "damaged"],
)
def test_what_breaks_for_a_while_is_mended(any_place: Place, fault: dict[str, Any]) -> None:
    added = any_place.proxy.add(Fault(**fault))
    assert any_place.fetch() == {}
    assert added.times == 0


def test_a_server_that_stays_broken_is_given_up_and_what_came_is_continued(any_place: Place) -> None:
    any_place.proxy.add(Fault(path="model.onnx", times=1))
    fault = any_place.proxy.add(Fault(Break.CUT_ANSWER, path="model.onnx", times=100))
    assert any_place.fetch()["code"] == "unreachable"
    (partial,) = any_place.folder.glob(".*.partial")
    assert partial.stat().st_size == PART
    fault.times = 0
    any_place.proxy.seen.clear()
    assert any_place.fetch() == {}
    assert any_place.asked("model.onnx") == 2


def test_a_fetch_that_was_stopped_is_continued_where_it_was(any_place: Place) -> None:
    reached, stopped = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        stopped.wait(30)

    any_place.proxy.add(Fault(path="model.onnx", times=1))
    any_place.proxy.add(Fault(path="model.onnx", times=100, before=wait))
    process = any_place.start()
    assert reached.wait(30)
    (partial,) = any_place.folder.glob(".*.partial")
    eventually(lambda: partial.stat().st_size == PART, "the first part was not written")
    process.send_signal(signal.SIGTERM)
    code, _ = finished(process)
    stopped.set()
    assert code == 143
    assert not (any_place.folder / "model.onnx").exists()
    any_place.proxy.faults.clear()
    code, output = finished(any_place.start())
    assert code == 0, output
    assert f"continued at {PART:,} bytes" in output
    verify_folder(any_place.folder, any_place.version.ref.digest)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_size_of_a_model(any_place: Place, moto: S3Server) -> None:
    large = Version(some_bytes(96 * MIB), name="large")
    large.put(moto.store(any_place.bucket))
    small, any_place.version = peak_of(any_place, moto), large
    assert peak_of(any_place, moto) - small < 32 * MIB


def peak_of(place: Place, server: S3Server) -> int:
    """The most bytes of memory that a fetch had, past the proxy."""
    shown = "print(open('/proc/self/status').read())"
    code = f"import os, runtime.fetch.command; runtime.fetch.command.run(os.environ); {shown}"
    status, output = finished(place.start(code=code, KUBESERVE_STORE_ENDPOINT=server.endpoint))
    assert status == 0, output
    verify_folder(place.folder, place.version.ref.digest)
    return int(output.partition("VmHWM:")[2].split()[0]) * 1024


def test_wrong_usage_has_its_own_exit_code(tmp_path: Path) -> None:
    def ended(*arguments: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "runtime.fetch", *arguments],
            env={"PATH": os.environ["PATH"], **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    reason = tmp_path / "reason"
    code, output = ended(KUBESERVE_REASON_FILE=str(reason))
    assert code == 64
    assert output.splitlines()[-1] == "error: Setting is missing: KUBESERVE_STORE_BUCKET is not set."
    written: dict[str, Any] = json.loads(reason.read_text())
    assert written["code"] == "settings"
    assert ended("churn")[0] == 64
    code, output = ended("--help")
    assert code == 0
    assert "KUBESERVE_STORE_BUCKET" in output
