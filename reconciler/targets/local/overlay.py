"""The runtime's overlay of packages, in a cache that many processes share.

Called when a variant starts; takes as long as pip takes. The runtime decides which packages are missing and installs
them; this module adds the lock, the modes of the folders, and the environment of pip.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from reconciler.targets.local.environment import installer_environment
from reconciler.targets.local.files import make_folder
from reconciler.targets.protocol import TargetError
from runtime import overlay
from runtime.errors import RequirementsError


def prepare_overlay(requirements: Path, cache: Path) -> Path | None:
    """The folder that holds what is missing for a requirements.txt, or None; installed if it is not there yet.

    TargetError: a line that is no plain requirement, or pip's last words. Safe to call from many processes.
    """
    try:
        return overlay.prepare_overlay(requirements, cache, installer_environment(), _locked)
    except RequirementsError as error:
        raise TargetError(error.summary, error.detail) from error


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    make_folder(folder.parent)
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=overlay.INSTALL_SECONDS, mode=0o600):
            yield
    except Timeout:
        raise TargetError(
            "Requirements are being installed",
            f"Another process has been installing the same requirements for {overlay.INSTALL_SECONDS:g} s.",
            retryable=True,
        ) from None
