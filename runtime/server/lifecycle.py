"""Which phase of its life the runtime is in, for all who have to know.

Written by the thread that starts the model up (`startup.py`) and by the server when it drains (`host.py`), read
by every request. Each field has one writer and is assigned as a whole, so that no lock is needed.
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
        self.draining = False
        self.artifact: Artifact | None = None
        self.fault: RuntimeFault | None = None
        self.check_token = secrets.token_hex(16)
        """Known to this process alone: lets its checks in before it is ready, and keeps them out of metrics."""
        self._phase = Phase.LOADING
        self._predictor: Predictor | None = None

    @property
    def phase(self) -> Phase:
        return Phase.DRAINING if self.draining else self._phase

    def loaded(self, artifact: Artifact, predictor: Predictor) -> None:
        self.artifact = artifact
        self._predictor = predictor
        self._phase = Phase.CHECKING

    def checked(self) -> None:
        self._phase = Phase.READY

    def fail(self, fault: RuntimeFault) -> None:
        """Of a server that is stopping anyway, what fails is its own stop: it has no fault then."""
        if not self.draining:
            self.fault = fault
            self._phase = Phase.FAILED

    @property
    def reason(self) -> str:
        """Why the server is not ready; empty when it is."""
        return _UNREADY.get(self.phase, str(self.fault or ""))

    def predictor(self, *, for_check: bool) -> Predictor:
        """The model, for a request that may ask it now. RequestFault 503 otherwise."""
        if self._predictor is None or (self._phase is not Phase.READY and not for_check):
            raise RequestFault(503, "not_ready", self.reason)
        return self._predictor
