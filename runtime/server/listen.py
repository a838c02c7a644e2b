"""The server's socket. Bound before anything slow, so that its address can be written down at once; what
connects early waits in its backlog."""

from __future__ import annotations

import os
import socket

from runtime.errors import RuntimeFault

BACKLOG = 2048


class AddressError(RuntimeFault):
    """An address that can't be listened on."""

    code = "address"


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one. AddressError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        is_name = isinstance(error, socket.gaierror)  # with numbers of its own
        cause = error.strerror if is_name or error.errno is None else os.strerror(error.errno)
        raise AddressError("Can't listen", f"{host} port {port}: {cause}.") from error
    listener.setblocking(False)
    return listener


def own_address(listener: socket.socket) -> tuple[str, int]:
    """Where this process itself reaches its socket."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104
