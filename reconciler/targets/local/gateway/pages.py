"""The gateway's own pages: its deployments, its health, its metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from reconciler.targets.local.gateway import answers
from reconciler.targets.local.gateway.balance import Balancer, LiveRoute
from reconciler.targets.local.gateway.metrics import Metrics

_METHODS = ("GET", "HEAD")


class Pages:
    def __init__(self, balancer: Balancer, metrics: Metrics) -> None:
        self._balancer = balancer
        self._metrics = metrics
        self._by_path: dict[str, Callable[[web.BaseRequest], web.Response]] = {
            "/": self._index,
            "/health": self._health,
            "/metrics": self._metrics_page,
        }

    def answer(self, request: web.BaseRequest, path: str) -> web.Response:
        """GatewayRefusal if the gateway has no page at that path."""
        page = self._by_path.get(path)
        if page is None:
            raise answers.nothing_there(path)
        if request.method not in _METHODS:
            raise answers.wrong_method(request.method, ", ".join(_METHODS))
        return page(request)

    def _index(self, request: web.BaseRequest) -> web.Response:
        origin = "http://" + request.host.encode("ascii", "backslashreplace").decode()
        return answers.json_response(
            {"deployments": [_summary(route, origin) for route in self._balancer.routes.values()]}
        )

    def _health(self, request: web.BaseRequest) -> web.Response:
        return answers.json_response({"status": "ok", "generation": self._balancer.generation})

    def _metrics_page(self, request: web.BaseRequest) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _summary(route: LiveRoute, origin: str) -> dict[str, object]:
    return {
        "tenant": route.tenant,
        "deployment": route.deployment,
        "url": f"{origin}/{route.key}",
        "variants": [
            {"name": v.name, "version": v.version, "weight": v.weight, "replicas": len(v.replicas)}
            for v in route.variants
        ],
    }
