"""From an artifact to a server that is ready: verify, load, check. Runs in a thread beside the event loop, so that
/health answers while a large model loads. A failure is recorded in the lifecycle, and ends the process.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack

from runtime.artifact import open_artifact
from runtime.errors import ModelError, RuntimeFault
from runtime.loaders import load
from runtime.server.checks import run_checks
from runtime.server.lifecycle import Lifecycle
from runtime.settings import Settings
from runtime.supervisor import Link

_log = logging.getLogger("runtime")


class Startup(threading.Thread):
    """`address`: where this process listens, for the checks. `cleanup`: closed when the server ends."""

    def __init__(
        self, settings: Settings, lifecycle: Lifecycle, address: tuple[str, int], cleanup: ExitStack, link: Link
    ) -> None:
        super().__init__(name="startup", daemon=True)
        self._settings = settings
        self._lifecycle = lifecycle
        self._address = address
        self._cleanup = cleanup
        self._link = link

    def run(self) -> None:
        time.sleep(self._link.restarts.pause_seconds)
        try:
            self._load()
            self._check()
        except RuntimeFault as fault:
            self._lifecycle.fail(fault)
        except BaseException as error:
            _log.exception("Unexpected failure at start")
            self._lifecycle.fail(ModelError("The server can't start", f"{type(error).__name__}: {error}"))

    def _load(self) -> None:
        settings = self._settings
        artifact = open_artifact(settings.artifact, settings.digest, settings.model_format, self._cleanup)
        predictor = load(artifact.path, artifact.model_format, threads=settings.threads)
        self._lifecycle.loaded(artifact, predictor)
        info = predictor.info
        _log.info("Loaded %s of %s %s, digest %s", info.kind, info.library, info.version, artifact.digest)

    def _check(self) -> None:
        settings, lifecycle = self._settings, self._lifecycle
        run_checks(settings.checks, self._address, lifecycle.check_token, settings.limits.request_seconds)
        lifecycle.checked()
        self._link.is_ready()
        _log.info("Ready; %d checks passed", len(settings.checks))
