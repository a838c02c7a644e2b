"""Installs the packages that a version requires and its runtime lacks, into a folder that Python searches first.

Takes a version's requirements.txt. Returns None if nothing is missing (then no index is asked), else a folder for
PYTHONPATH, which is made once for the same requirements. Called by the local target before it starts a variant, and by
the image's `start.sh` as `python -m runtime.overlay REQUIREMENTS CACHE COMMAND…`, which becomes the command.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

from packaging.requirements import Requirement

from runtime.errors import RequirementsError, RuntimeFault, SettingsError
from runtime.logs import set_up_logging
from runtime.notes import default_reason_file, report
from runtime.requirements import missing, parse_requirements

INSTALL_SECONDS = 900.0
"""For one requirements.txt: resolving, downloading and, for packages without a wheel, building."""

EXIT_FAILED = 1
EXIT_USAGE = 64
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 128 + signal.SIGTERM
_PIP = (sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color")
_QUOTED_LINES = 3
_log = logging.getLogger("runtime")

Guard = Callable[[Path], AbstractContextManager[object]]
"""Takes the folder to be made: makes its parent, and admits one process at a time."""


@contextmanager
def unguarded(folder: Path) -> Generator[None]:
    """For a cache that only one process uses, such as a container's."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    yield


def prepare_overlay(
    requirements: Path, cache: Path, environment: Mapping[str, str], guard: Guard = unguarded
) -> Path | None:
    """The folder with the packages that a requirements.txt names and that are missing; installs them unless it exists.
    `environment`: pip's. RequirementsError: a line that is not a plain requirement, or pip's last messages."""
    wanted = parse_requirements(_text(requirements))
    if not missing(wanted):
        return None
    folder = cache / "overlays" / _digest(wanted)
    if not folder.is_dir():
        with _disk(folder), guard(folder):
            if not folder.is_dir():
                _install(wanted, folder, environment)
    return folder


def main() -> NoReturn:
    """Exit codes until the command takes over: 1 requirements that can't be installed, 64 wrong usage, 130 interrupted,
    143 SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # which ends pip as well
    set_up_logging()
    try:
        requirements, cache, command = _arguments(sys.argv[1:])
        overlay = prepare_overlay(requirements, cache, os.environ)
        if overlay:
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(overlay), os.environ.get("PYTHONPATH"))))
        _become(command)
    except RuntimeFault as fault:
        report(fault, default_reason_file(os.environ))
        sys.exit(EXIT_USAGE if isinstance(fault, SettingsError) else EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _arguments(arguments: Sequence[str]) -> tuple[Path, Path, list[str]]:
    match arguments:
        case [requirements, cache, *command] if command:
            return Path(requirements), Path(cache), command
        case _:
            raise SettingsError("Wrong usage", "python -m runtime.overlay REQUIREMENTS CACHE COMMAND…")


def _become(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606 - the process has to stay this one: it is a container's first
    except OSError as error:
        raise SettingsError("The command can't be run", f"{command[0]}: {error.strerror}.") from error


def _text(requirements: Path) -> str:
    try:
        return requirements.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequirementsError("requirements.txt can't be read", f"{requirements}: {error}.") from error


def _digest(requirements: Iterable[Requirement]) -> str:
    content = [[str(r) for r in requirements], sys.implementation.cache_tag, sys.platform, platform.machine()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@contextmanager
def _disk(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        cause = f"{error.filename or folder}: {error.strerror or error}."
        raise RequirementsError("Requirements can't be installed", cause) from error


def _install(requirements: Sequence[Requirement], folder: Path, environment: Mapping[str, str]) -> None:
    """Called under the guard. pip resolves against the interpreter's packages, so that only missing ones are
    installed."""
    if importlib.util.find_spec("pip") is None:
        raise RequirementsError(
            "Requirements can't be installed",
            f"{sys.executable} has no pip. Give it one: {sys.executable} -m ensurepip",
        )
    for left in folder.parent.glob(f"{folder.name}.partial-*"):  # left by a process that was killed here
        shutil.rmtree(left, ignore_errors=True)
    partial = folder.with_suffix(f".partial-{secrets.token_hex(4)}")
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    resolve = ("install", "--quiet", "--dry-run", "--report", "-", *map(str, requirements))
    found = json.loads(_pip(resolve, log, environment))["install"]
    pins = sorted(f"{item['metadata']['name']}=={item['metadata']['version']}" for item in found)
    _log.info("Installing packages that this runtime lacks: %s", ", ".join(pins))
    _pip(("install", "--no-deps", "--progress-bar", "off", "--target", str(partial), *pins), log, environment)
    _refuse_own_name(partial)
    partial.rename(folder)


def _refuse_own_name(folder: Path) -> None:
    """In front of the server's own code, a package of its name would be started instead of it."""
    if (folder / "runtime").exists() or (folder / "runtime.py").exists():
        shutil.rmtree(folder)
        raise RequirementsError(
            "A module's name is taken",
            "A package of the requirements installs a module called 'runtime', which is the server's own.",
        )


def _pip(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> bytes:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        try:
            done = subprocess.run(
                (*_PIP, *arguments),
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stream,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _install_error(f"pip did not end within {INSTALL_SECONDS:g} s.", log) from None
    if done.returncode != 0:
        raise _install_error(_last_words(log), log)
    return done.stdout


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    unanswered = "The package index did not answer. " if any("Retrying (" in line for line in lines) else ""
    return unanswered + (" ".join(errors[-_QUOTED_LINES:]) or "pip said nothing.")


def _install_error(cause: str, log: Path) -> RequirementsError:
    return RequirementsError("Requirements can't be installed", f"{cause}\npip's whole output: {log}")


if __name__ == "__main__":
    main()
