"""Which phase of its life the server is in.

Written by the thread that loads the model (`startup.py`) and by the event loop (`host.py`, `watch.py`), read by every
request. Each field has one writer and is assigned as a whole, so that no lock is needed.
"""

from __future__ import annotations

import secrets
from enum import StrEnum

from runtime.artifact import Artifact
from runtime.errors import RequestFault, RuntimeFault
from runtime.loaders.predictor import Predictor
from runtime.supervisor import Restarts


class Phase(StrEnum):
    LOADING = "loading"
    CHECKING = "checking"
    READY = "ready"
    OVERDUE = "overdue"  # a call of the model exceeds its time limit
    DRAINING = "draining"
    FAILED = "failed"


_UNREADY = {
    Phase.LOADING: "The model is being verified and loaded.",
    Phase.CHECKING: "The model's checks are running.",
    Phase.DRAINING: "The server is about to stop.",
}


class Lifecycle:
    def __init__(self, restarts: Restarts) -> None:
        self.restarts = restarts
        self.draining = False
        self.overdue = ""
        """Why the model counts as overdue; empty when it doesn't."""
        self.hung = False
        """The overdue call will not be waited for much longer: no request is taken any more."""
        self.artifact: Artifact | None = None
        self.fault: RuntimeFault | None = None
        self.check_token = secrets.token_hex(16)
        """Known to this process alone: admits its checks before it is ready, and keeps them out of metrics."""
        self._phase = Phase.LOADING
        self._predictor: Predictor | None = None

    @property
    def phase(self) -> Phase:
        if self.draining:
            return Phase.DRAINING
        return Phase.OVERDUE if self._phase is Phase.READY and self.overdue else self._phase

    @property
    def is_loaded(self) -> bool:
        return self._predictor is not None

    def loaded(self, artifact: Artifact, predictor: Predictor) -> None:
        self.artifact = artifact
        self._predictor = predictor
        self._phase = Phase.CHECKING

    def checked(self) -> None:
        self._phase = Phase.READY

    def fail(self, fault: RuntimeFault) -> None:
        """Ends the server with a fault, unless it is stopping anyway."""
        if not self.draining:
            self.fault = fault
            self._phase = Phase.FAILED

    @property
    def reason(self) -> str:
        """Why the server is not ready; empty when it is."""
        phase = self.phase
        if phase is Phase.OVERDUE:
            return self.overdue
        again = self.restarts.last if phase in (Phase.LOADING, Phase.CHECKING) else None
        reason = _UNREADY.get(phase, str(self.fault or ""))
        return f"{reason} The server was started again: {again.reason}" if again else reason

    def predictor(self, *, for_check: bool, is_free: bool) -> Predictor:
        """The model, for a request that may call it now. RequestFault 503 otherwise. `is_free`: a thread is; while a
        call is overdue, requests don't wait for one."""
        if self._predictor is None or (self._phase is not Phase.READY and not for_check):
            raise RequestFault(503, "not_ready", self.reason)
        if self.overdue and (self.hung or not is_free):
            raise RequestFault(503, "not_ready", self.overdue)
        return self._predictor
