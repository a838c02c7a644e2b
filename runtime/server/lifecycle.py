"""Which phase of its life the runtime is in, for all who have to know.

Written by the thread that starts the model up (`startup.py`) and by the server when it drains (`host.py`), read
by every request. Each field is assigned once, whole, and `phase` last, so that no lock is needed.
"""

from __future__ import annotations

import secrets
from enum import StrEnum

from runtime.artifact import Artifact
from runtime.errors import RequestFault, RuntimeFault
from runtime.loaders.predictor import Predictor


class Phase(StrEnum):
    LOADING = "loading"
    CHECKING = "checking"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


_UNREADY = {
    Phase.LOADING: "The model is being verified and loaded.",
    Phase.CHECKING: "The model is being asked its checks.",
    Phase.DRAINING: "The server is about to stop.",
}


class Lifecycle:
    def __init__(self) -> None:
        self.phase = Phase.LOADING
        self.artifact: Artifact | None = None
        self.fault: RuntimeFault | None = None
        self.check_token = secrets.token_hex(16)
        """Known to this process alone: lets its checks in before it is ready, and keeps them out of metrics."""
        self._predictor: Predictor | None = None

    def loaded(self, artifact: Artifact, predictor: Predictor) -> None:
        self.artifact = artifact
        self._predictor = predictor
        self._advance(Phase.CHECKING)

    def checked(self) -> None:
        self._advance(Phase.READY)

    def drain(self) -> None:
        self.phase = Phase.DRAINING

    def fail(self, fault: RuntimeFault) -> None:
        self.fault = fault
        self.phase = Phase.FAILED

    @property
    def reason(self) -> str:
        """Why the server is not ready; empty when it is."""
        return _UNREADY.get(self.phase, str(self.fault or ""))

    def predictor(self, *, for_check: bool) -> Predictor:
        """The model, for a request that may ask it now. RequestFault 503 otherwise."""
        if self._predictor is None or (self.phase is Phase.CHECKING and not for_check):
            raise RequestFault(503, "not_ready", self.reason)
        return self._predictor

    def _advance(self, phase: Phase) -> None:
        if self.phase is not Phase.DRAINING:
            self.phase = phase
