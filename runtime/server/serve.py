"""One run of the server, from a bound socket to an exit code; called by `cli.py`.

The web framework is imported before the model's libraries, not beside them: imports hold the interpreter's
lock, so that two threads of them end no sooner, and /health would answer later.
"""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack

from runtime.server.lifecycle import Lifecycle
from runtime.server.listen import own_address
from runtime.server.startup import Startup
from runtime.settings import Settings

_log = logging.getLogger("runtime")


def serve(settings: Settings, listener: socket.socket) -> int:
    """Serves until a signal comes and returns the exit code. Raises the RuntimeFault that stopped the model
    from being served."""
    with ExitStack() as cleanup:
        lifecycle = Lifecycle()
        host, port = address = own_address(listener)
        _log.info("Listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        from runtime.server.host import run

        Startup(settings, lifecycle, address, cleanup).start()
        code = run(settings, lifecycle, listener)
        if lifecycle.fault:
            raise lifecycle.fault
        return code
