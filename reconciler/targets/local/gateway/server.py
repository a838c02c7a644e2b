"""The gateway's life: it binds, writes gateway.json, serves, and stops without cutting off an answer.

`__main__` runs it. A failed start prints its reason in one line; its exit code says whether the port was taken.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
from logging.handlers import RotatingFileHandler
from pathlib import Path

import psutil
from aiohttp import web

from reconciler.targets.local.files import write_atomically
from reconciler.targets.local.gateway import upstream
from reconciler.targets.local.gateway.admin import admin_app, load
from reconciler.targets.local.gateway.balance import Balancer
from reconciler.targets.local.gateway.client import DRAIN_SECONDS, GATEWAY_FILE, LOG_FILE, PORT_TAKEN, GatewayInfo
from reconciler.targets.local.gateway.listener import BACKLOG, PublicServer
from reconciler.targets.local.gateway.metrics import Metrics
from reconciler.targets.local.gateway.pages import Pages
from reconciler.targets.local.gateway.proxy import Proxy
from reconciler.targets.local.gateway.routes import ROUTES_FILE, RouteTableError
from reconciler.targets.local.gateway.suspects import ask_suspects

LOG_BYTES = 5 * 1024**2
LOG_FILES = 2

_ADMIN_HOST = "127.0.0.1"
_SWEEP_SECONDS = 1.0

log = logging.getLogger(__name__)


class StartError(Exception):
    """Why the gateway can't serve, in one line; `exit_code` is what its starter reads."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def log_to(run_dir: Path) -> None:
    """Logs go to a file of bounded size."""
    handler = RotatingFileHandler(run_dir / LOG_FILE, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # aiohttp logs a traceback for each malformed request, which any stranger can send; our own errors we log.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. StartError says whether the port is taken or the address is not available."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "it is taken by another process" if taken else str(error.strerror or error)
        raise StartError(f"can't listen on {host} port {port}: {why}", PORT_TAKEN if taken else 1) from error


async def serve(run_dir: Path, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT, then answers what it has accepted. StartError when it can't."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    metrics = Metrics()
    balancer = Balancer(metrics.arrived, metrics.departed)
    try:
        load(balancer, run_dir)
    except (RouteTableError, OSError) as error:
        raise StartError(f"{run_dir / ROUTES_FILE}: {error}") from error
    public = PublicServer(Proxy(balancer, metrics, Pages(balancer, metrics)))
    admin_runner = web.AppRunner(admin_app(balancer, run_dir), access_log=None, shutdown_timeout=0)
    port = await public.listen(bind(host, port))
    admin_port = await _listen(admin_runner, bind(_ADMIN_HOST, 0))
    _write_down(run_dir, host, port, admin_port)
    sweeping = asyncio.create_task(_sweep(balancer, public))
    await stopped.wait()
    log.info("Stopping: %d requests are being answered", sum(balancer.inflight().values()))
    if cut := await public.drain(DRAIN_SECONDS):
        log.warning("%d connections were cut after %g s", cut, DRAIN_SECONDS)
    sweeping.cancel()
    upstream.close_idle(balancer.replicas())
    await admin_runner.cleanup()


async def _listen(runner: web.BaseRunner, listener: socket.socket) -> int:
    await runner.setup()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
    return int(listener.getsockname()[1])


def _write_down(run_dir: Path, host: str, port: int, admin_port: int) -> None:
    info = GatewayInfo(os.getpid(), psutil.Process().create_time(), host, port, admin_port)
    write_atomically(run_dir / GATEWAY_FILE, info.to_json())
    log.info("Listening on %s port %d; admin port %d; process %d", host, port, admin_port, info.pid)


async def _sweep(balancer: Balancer, public: PublicServer) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        upstream.close_idle(balancer.replicas(), upstream.IDLE_SECONDS)
        public.refuse_slow_heads()
        await ask_suspects(balancer)
