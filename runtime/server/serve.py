"""The server's socket, and one run of the server on it. Called by `cli.py`: `listen` in the process that was started,
before anything slow, so that its address can be written down at once; `serve` in the process that serves.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import ExitStack

from runtime.errors import RuntimeFault
from runtime.server.lifecycle import Lifecycle
from runtime.settings import Settings
from runtime.supervisor import Link

BACKLOG = 2048
_log = logging.getLogger("runtime")


class AddressError(RuntimeFault):
    """An address that can't be listened on."""

    code = "address"


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one. Early connections wait in its backlog. AddressError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        is_name = isinstance(error, socket.gaierror)  # with numbers of its own
        cause = error.strerror if is_name or error.errno is None else os.strerror(error.errno)
        raise AddressError("Can't listen", f"{host} port {port}: {cause}.") from error
    listener.setblocking(False)
    return listener


def serve(settings: Settings, listener: socket.socket, link: Link) -> int:
    """Serves until a signal comes and returns the exit code. Raises the RuntimeFault that stopped the model from being
    served."""
    with ExitStack() as cleanup:
        lifecycle = Lifecycle(link.restarts)
        host, port = address = _own_address(listener)
        _log.info("Listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        # The server is imported before the model's libraries and not beside them: imports hold the interpreter's lock,
        # so two threads of them finish no sooner, and /health would answer later.
        from runtime.server.host import run
        from runtime.server.startup import Startup

        Startup(settings, lifecycle, address, cleanup, link).start()
        code = run(settings, lifecycle, listener, link.dump)
        if lifecycle.fault:
            raise lifecycle.fault
        return code


def _own_address(listener: socket.socket) -> tuple[str, int]:
    """Where this process itself reaches its socket."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104
