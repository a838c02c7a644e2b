"""`validate --watch`: a spec is checked again as soon as it is saved."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPEC = """apiVersion: kubeserve.io/v1
tenant: fraud
models:
  churn:
    versions:
      v1: {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
deployments:
  churn: {model: churn, version: v1}
"""


@contextmanager
def changing(spec: Path) -> Iterator[None]:
    """Saves it again and again: the watch may begin after the first time."""
    done = threading.Event()

    def save() -> None:
        number = 0
        while not done.wait(0.3):
            number += 1
            spec.write_text(SPEC.replace("version: v1}", f"version: v1{number % 10}}}"))

    thread = threading.Thread(target=save)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_changed_file_is_checked_again_until_it_is_interrupted(tmp_path: Path) -> None:
    spec = tmp_path / "kubeserve.yaml"
    spec.write_text(SPEC)
    command = [sys.executable, "-m", "reconciler", "validate", "--watch", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert "Good" in process.stdout.readline()
        assert "Watching" in process.stdout.readline()
        with changing(spec):
            seen = process.stdout.readline()
            while "Did you mean 'v1'?" not in seen:
                seen += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "Traceback" not in seen + rest


def test_a_ref_stays_as_it_is_and_can_not_be_watched(tmp_path: Path) -> None:
    (tmp_path / "kubeserve.yaml").write_text(SPEC)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "validate", "--watch", str(tmp_path), "--ref", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 64
    assert "Only directories can be watched" in done.stderr
