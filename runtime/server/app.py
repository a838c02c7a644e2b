"""The paths that the runtime answers, at the root and below each of its prefixes.

Built when the server starts. Plain Starlette routes and orjson: `inputs.py` is the only validation that a prediction
passes. Every answer but that of /metrics is JSON, and every error is {"error": {"code", "message", …}}.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict
from http import HTTPStatus
from time import perf_counter
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from runtime.errors import RequestFault
from runtime.loaders.predictor import Predictor
from runtime.server.checks import CHECK_HEADER
from runtime.server.inference import Calls, Inference
from runtime.server.lifecycle import Lifecycle, Phase
from runtime.server.metrics import Metrics
from runtime.server.waiting import WaitingRoom, read_body
from runtime.settings import Settings

_JSON = "application/json"


class Paths:
    def __init__(self, settings: Settings, lifecycle: Lifecycle) -> None:
        self._limits = settings.limits
        self._identity = asdict(settings.identity)
        self._lifecycle = lifecycle
        self._room = WaitingRoom(settings.limits)
        self._inference = Inference(settings.limits, self._room)
        self._metrics = Metrics(settings.identity, lifecycle.restarts.count)

    async def predict(self, request: Request) -> Response:
        started = perf_counter()
        for_check = self._is_check(request)
        try:
            body = await read_body(request.stream(), self._limits, self._room)
            content = await self._inference.ask(self._predictor(for_check, body), body)
        except RequestFault as fault:
            if not for_check:
                self._metrics.refused(fault.reason)
            return self._error(fault)
        if not for_check:
            self._metrics.answered((perf_counter() - started) * 1000)
        return self._respond(content)

    async def health(self, request: Request) -> Response:
        if not self._lifecycle.overdue:
            return self._respond(b'{"status":"alive"}')
        hung = self._lifecycle.hung
        document = {"status": "hung" if hung else "alive", "reason": self._lifecycle.overdue}
        return self._respond(orjson.dumps(document), 503 if hung else 200)

    async def ready(self, request: Request) -> Response:
        lifecycle = self._lifecycle
        is_ready = lifecycle.phase is Phase.READY
        document: dict[str, Any] = {"ready": is_ready, "phase": lifecycle.phase, **self._identity}
        if lifecycle.artifact:
            document |= {"digest": lifecycle.artifact.digest, "format": lifecycle.artifact.model_format}
        if lifecycle.restarts.last:
            document |= {"restarts": lifecycle.restarts.count, "last_failure": asdict(lifecycle.restarts.last)}
        if not is_ready:
            document["reason"] = lifecycle.reason
        return self._respond(orjson.dumps(document), 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        return self._respond(self._metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """The answer to a request that Starlette refuses: an unknown path, or another method."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        phrase = HTTPStatus(status).phrase
        message = f"{request.method} {request.url.path}: {phrase}."
        response = self._error(RequestFault(status, phrase.lower().replace(" ", "_"), message))
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    @property
    def calls(self) -> Calls:
        return self._inference.calls

    def _predictor(self, for_check: bool, body: bytes) -> Predictor:
        try:
            return self._lifecycle.predictor(for_check=for_check, is_free=self._inference.is_free)
        except RequestFault:
            self._room.give(len(body))
            raise

    def _is_check(self, request: Request) -> bool:
        given = request.headers.get(CHECK_HEADER)
        return given is not None and hmac.compare_digest(given.encode(), self._lifecycle.check_token.encode())

    def _error(self, fault: RequestFault) -> Response:
        document = {"error": {"code": fault.reason, "message": fault.summary, **fault.fields}}
        response = self._respond(orjson.dumps(document), fault.status)
        if fault.status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["retry-after"] = "1"
        if fault.reason in ("body_timeout", "too_large"):  # the rest of the body may still come
            response.headers["connection"] = "close"
        return response

    def _respond(self, content: bytes, status: int = 200, media_type: str = _JSON) -> Response:
        response = Response(content, status, media_type=media_type)
        if self._lifecycle.draining:
            response.headers["connection"] = "close"
        return response


def build_app(paths: Paths, settings: Settings) -> Starlette:
    """The application. It answers at once; predictions are refused until the model is loaded."""
    routes: list[BaseRoute] = [Route(prefix, paths.predict, methods=["POST"]) for prefix in settings.prefixes]
    for prefix in ("", *settings.prefixes):
        routes += [
            Route(f"{prefix}/predict", paths.predict, methods=["POST"]),
            Route(f"{prefix}/health", paths.health),
            Route(f"{prefix}/ready", paths.ready),
            Route(f"{prefix}/metrics", paths.metrics),
        ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: paths.refuse, Exception: paths.refuse})
    # A redirect would be absolute, to http, and many clients don't repeat a POST: a path with a slash at its end is
    # an unknown one.
    app.router.redirect_slashes = False
    return app
