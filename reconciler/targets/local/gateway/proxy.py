"""Every request of the public listener is handled and counted here.

Called by aiohttp's server for each request. A request for a deployment becomes an `Exchange` with the
deployment's time limit; all others get the gateway's own pages or a refusal.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import HttpVersion11, hdrs, web

from reconciler.targets.local.gateway import answers
from reconciler.targets.local.gateway.answers import GatewayRefusal
from reconciler.targets.local.gateway.balance import Balancer, LiveRoute
from reconciler.targets.local.gateway.exchange import Exchange
from reconciler.targets.local.gateway.headers import is_chunked
from reconciler.targets.local.gateway.metrics import CLIENT_LEFT, Metrics
from reconciler.targets.local.gateway.pages import Pages
from reconciler.targets.local.gateway.paths import origin_form, path_of, route_key

MAX_OPEN_REQUESTS = 1000
"""Of one deployment. Each takes two sockets, and they must leave some to the other deployments."""

log = logging.getLogger(__name__)


class Proxy:
    def __init__(
        self, balancer: Balancer, metrics: Metrics, pages: Pages, max_open_requests: int = MAX_OPEN_REQUESTS
    ) -> None:
        self._balancer = balancer
        self._metrics = metrics
        self._pages = pages
        self._max_open_requests = max_open_requests
        self._open: dict[str, int] = {}  # deployment -> requests that are answered, or whose body still arrives

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        target = origin_form(request.raw_path)
        route = self._balancer.routes.get(route_key(target)) if target is not None else None
        if target is None or route is None:
            return self._own_answer(request, target or request.raw_path)
        return await self._forward(request, route, target)

    async def _forward(self, request: web.BaseRequest, route: LiveRoute, target: str) -> web.StreamResponse:
        clock = asyncio.get_running_loop().time
        started, code = clock(), CLIENT_LEFT
        exchange = Exchange(self._balancer, route, request, target)
        self._open[route.key] = self._open.get(route.key, 0) + 1
        try:
            response, code = await self._within_limit(exchange, request)
            return response
        finally:
            self._open[route.key] -= 1
            self._metrics.answered(exchange.variant, code, clock() - started)
            exchange.close()

    async def _within_limit(self, exchange: Exchange, request: web.BaseRequest) -> tuple[web.StreamResponse, int]:
        """The answer, and the status that it counts as."""
        try:
            _refuse_unsupported(request)
            if self._open[exchange.route.key] > self._max_open_requests:
                raise answers.too_many(exchange.route, self._max_open_requests)
            async with asyncio.timeout(exchange.route.request_seconds):
                response = await exchange.run()
                return response, response.status
        except GatewayRefusal as refusal:
            return _refuse(exchange, request, refusal)
        except TimeoutError:
            exchange.suspect()
            slow = answers.too_slow if exchange.variant else answers.body_too_slow
            return _refuse(exchange, request, slow(exchange.route))
        except ConnectionError:  # the client closed its connection while we wrote
            raise
        except Exception:
            log.exception("A request to %s failed in the gateway", exchange.route.key)
            return _refuse(exchange, request, answers.our_fault())

    def _own_answer(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        try:
            _refuse_unsupported(request)
            response = self._pages.answer(request, path_of(target))
        except GatewayRefusal as refusal:
            response = refusal.response()
        except Exception:
            log.exception("The gateway's own page failed")
            response = answers.our_fault().response()
        self._metrics.answered(None, response.status, 0.0)
        return response


def _refuse_unsupported(request: web.BaseRequest) -> None:
    if request.method == hdrs.METH_CONNECT:
        raise answers.no_tunnel()
    if request.headers.get("Upgrade", "").lower() == "websocket":
        raise answers.no_websocket()
    if request.version > HttpVersion11:
        raise answers.no_such_version()
    if codings := request.headers.getall(hdrs.TRANSFER_ENCODING, ()):
        if request.version < HttpVersion11:
            raise answers.coding_of_old_version()
        if not is_chunked(codings):
            raise answers.unknown_coding()


def _refuse(exchange: Exchange, request: web.BaseRequest, refusal: GatewayRefusal) -> tuple[web.StreamResponse, int]:
    """Sends the refusal if nothing was sent yet. If an answer had begun, it can only close the connection."""
    if exchange.response is None or not exchange.response.prepared:
        return refusal.response(exchange.variant), refusal.status
    log.warning("%s: an answer was cut short. %s", exchange.route.key, refusal)
    if request.transport is not None:
        request.transport.abort()
    return exchange.response, refusal.status
