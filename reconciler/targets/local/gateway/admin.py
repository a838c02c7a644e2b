"""The admin listener, on loopback only: the target reloads the table and asks which variants still answer.

It needs no password, because a reload of routes.json gives nobody an advantage.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from reconciler.targets.local.gateway import upstream
from reconciler.targets.local.gateway.answers import GatewayRefusal, json_response
from reconciler.targets.local.gateway.balance import Balancer
from reconciler.targets.local.gateway.routes import ROUTES_FILE, RouteTable, RouteTableError

log = logging.getLogger(__name__)


def load(balancer: Balancer, run_dir: Path) -> None:
    """Puts routes.json into force. After a RouteTableError the old table stays in force."""
    upstream.close_idle(balancer.swap(RouteTable.read(run_dir)))
    log.info("Generation %d is in force: %d deployments", balancer.generation, len(balancer.routes))


def admin_app(balancer: Balancer, run_dir: Path) -> web.Application:
    started = asyncio.get_running_loop().time()

    async def reload(request: web.Request) -> web.Response:
        try:
            load(balancer, run_dir)
        except (RouteTableError, OSError) as error:
            log.warning("%s was refused: %s", ROUTES_FILE, error)
            refusal = GatewayRefusal(HTTPStatus.BAD_REQUEST, "Bad routing table", f"{ROUTES_FILE}: {error}.")
            return refusal.response()
        return json_response({"generation": balancer.generation})

    async def status(request: web.Request) -> web.Response:
        uptime = asyncio.get_running_loop().time() - started
        inflight = balancer.inflight()
        return json_response({"generation": balancer.generation, "inflight": inflight, "uptime": uptime})

    app = web.Application()
    app.router.add_post("/reload", reload)
    app.router.add_get("/status", status)
    return app
