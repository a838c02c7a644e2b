"""What the Makefile installs into .venv, from the package index: in a copy of this checkout."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import eventually
from tests.support.runtime.process import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PARTS = ("Makefile", "pyproject.toml", "README.md", "LICENSE", "scripts", "reconciler", "specs", "runtime", "templates")
PYTHON = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    for part in (*PARTS, *(lock.name for lock in ROOT.glob("requirements*.lock"))):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / part)
    return folder


def make(checkout: Path, target: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["make", target, f"PYTHON={PYTHON}"], cwd=checkout, process_group=0)


def has(checkout: Path, module: str) -> bool:
    return subprocess.run([checkout / ".venv/bin/python", "-c", f"import {module}"], check=False).returncode == 0


def test_one_environment_serves_demo_and_tests_even_after_an_interrupted_install(checkout: Path) -> None:
    packages = checkout / f".venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    with make(checkout, ".venv/.installed") as interrupted:
        eventually(lambda: list(packages.glob("scipy*")), "the first package of those that serve")
        os.killpg(interrupted.pid, signal.SIGINT)
    assert interrupted.returncode != 0
    shutil.rmtree(packages / "click", ignore_errors=True)  # whatever uv left, this package is incomplete now

    assert make(checkout, ".venv/.installed").wait() == 0
    assert has(checkout, "reconciler.cli.root, sklearn, aiohttp")
    assert not has(checkout, "pytest")
    assert make(checkout, "install").wait() == 0
    assert has(checkout, "reconciler.cli.root, sklearn, aiohttp, pytest, moto")
    (checkout / "requirements.lock").touch()
    assert make(checkout, ".venv/.installed").wait() == 0
    assert has(checkout, "reconciler.cli.root, sklearn, aiohttp, pytest, moto")
