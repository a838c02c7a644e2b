"""uvicorn around the application: it ends when the model can't be served, and drains at SIGTERM.

Called by `serve.py` in the main thread. Draining: /ready answers 503 at once; new requests are still accepted for
`linger_seconds`, because some are on their way; then the socket closes, and requests in flight have `grace_seconds`.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from runtime.server.app import Paths, build_app
from runtime.server.connection import Config
from runtime.server.lifecycle import Lifecycle
from runtime.server.serve import BACKLOG
from runtime.server.watch import Watch
from runtime.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than any proxy keeps an idle connection, so that we never close a connection that a proxy has just chosen."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(settings: Settings, lifecycle: Lifecycle, listener: socket.socket, dump: int) -> int:
    """Serves until the lifecycle has a fault (then the code is irrelevant) or a signal came: SIGTERM 0, SIGINT 130.
    `dump`: the file for the watchdog's dump."""
    limits = settings.limits
    paths = Paths(settings, lifecycle)
    config = Config(
        build_app(paths, settings),
        head_seconds=limits.head_seconds,
        unread_seconds=limits.request_seconds,
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.grace_seconds),
    )
    host = Host(config, lifecycle, settings.linger_seconds, Watch(lifecycle, paths.calls, limits.request_seconds, dump))
    host.run(sockets=[listener])
    return 130 if host.signal is signal.SIGINT else 0


class Host(uvicorn.Server):
    def __init__(self, config: Config, lifecycle: Lifecycle, linger_seconds: float, watch: Watch) -> None:
        super().__init__(config)
        self.signal: signal.Signals | None = None
        self._lifecycle = lifecycle
        self._linger_seconds = linger_seconds
        self._watch = watch

    async def on_tick(self, counter: int) -> bool:
        self._watch.look()
        if self._lifecycle.fault:
            self.should_exit = self.force_exit = True
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Replaces uvicorn's method, which closes the socket at once and raises the signal again at the end."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._drain, number)
        yield
        for number in _SIGNALS:  # a signal that comes now must not turn a good end into a bad one
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _drain(self, number: signal.Signals) -> None:
        if self.signal is not None:  # a second Ctrl-C is impatience; a second SIGTERM may come from another stopper
            self.force_exit |= number is signal.SIGINT
            return
        self.signal = number
        self._lifecycle.draining = True
        asyncio.get_running_loop().call_later(self._linger_seconds, self._stop_accepting)

    def _stop_accepting(self) -> None:
        self.should_exit = True
