"""`validate --watch`: a spec is checked again as soon as it is saved."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO

import pytest

SPEC = """apiVersion: kubeserve.io/v1
tenant: fraud
models:
  churn:
    versions:
      v1: {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
deployments:
  churn: {model: churn, version: v1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "specs"
    folder.mkdir()
    return folder


@contextmanager
def watching(folder: Path) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A `validate --watch` that has checked the spec once and found it good, and what it prints from then on."""
    (folder / "kubeserve.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "reconciler", "validate", "--watch", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            assert "Good" in process.stdout.readline()
            assert "Watching" in process.stdout.readline()
            yield process, process.stdout
        finally:
            process.kill()


@contextmanager
def saving(file: Path, contents: Callable[[int], str]) -> Iterator[None]:
    """Saves the file again and again, as the watch may begin after the first time, and always whole. `contents` gets
    the number of the save."""
    done = threading.Event()
    new = file.parent.parent / f"{file.name}.new"

    def save() -> None:
        for number in count(1):
            new.write_text(contents(number))
            new.replace(file)
            if done.wait(0.3):
                return

    thread = threading.Thread(target=save)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def read_until(output: IO[str], text: str) -> str:
    """What is printed up to the line with this text."""
    seen = ""
    while text not in seen:
        line = output.readline()
        assert line, f"ended without {text!r}:\n{seen}"
        seen += line
    return seen


def broken(number: int) -> str:
    return SPEC.replace("version: v1}", f"version: v1{number}}}")


def test_a_changed_file_is_checked_again_until_it_is_interrupted(folder: Path) -> None:
    with watching(folder) as (process, output):
        with saving(folder / "kubeserve.yaml", broken):
            seen = read_until(output, "Did you mean 'v1'?")
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "Traceback" not in seen + rest


def test_an_error_that_is_still_being_shown_is_in_the_exit_code(folder: Path) -> None:
    with watching(folder) as (process, output):
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, 4096)
        many = "".join(f"  churn-{number}: {{model: churn, version: v2}}\n" for number in range(90))
        with saving(folder / "kubeserve.yaml", lambda number: f"{SPEC}{many}# {number}\n"):
            read_until(output, "Did you mean 'v1'?")  # the rest doesn't fit into the pipe, so the command waits
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 1


@pytest.mark.parametrize("content", ["", "\n", "apiVersion: kubeserve.io/v1\n", "apiVersion: kubeserve.io/v1\ntenant:"])
def test_a_file_that_is_empty_or_half_written_is_not_good(folder: Path, content: str) -> None:
    with watching(folder) as (process, output):
        with saving(folder / "kubeserve.yaml", lambda _: content):
            seen = read_until(output, "1 error, 0 warnings.")
        process.send_signal(signal.SIGINT)
        seen += process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "Good" not in seen


def test_an_unreadable_platform_is_shown_and_the_watch_goes_on(folder: Path) -> None:
    platform = folder / "platform.yaml"
    with watching(folder) as (process, output):
        with saving(platform, lambda number: "\n" * number):
            seen = read_until(output, "Not a platform.yaml")
        with saving(platform, lambda number: f"apiVersion: kubeserve.io/v1\n# {number}\n"):
            seen += read_until(output, "Good")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in seen


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
    assert "--watch needs a directory" in done.stderr
