"""The gateway's own answers: JSON with a constant summary and a detail that says what, why and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from reconciler.targets.local.gateway.balance import LiveRoute, LiveVariant
from reconciler.targets.local.gateway.headers import VARIANT_HEADER, VERSION_HEADER

RETRY_AFTER_SECONDS = 1

_EXCERPT = re.compile(r"\n|: (?:bytearray\()?b['\"]")


class GatewayRefusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """Ends the handling of a request with an answer of the gateway's own.

    `closes`: the connection is closed after it, because the bytes that follow can't be parsed.
    """

    def __init__(
        self,
        status: HTTPStatus,
        summary: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        closes: bool = False,
    ) -> None:
        super().__init__(f"{summary}: {detail}")
        self.status = status
        self.summary = summary
        self.detail = detail
        self.headers = dict(headers or {})
        self.closes = closes

    def response(self, variant: LiveVariant | None = None) -> web.Response:
        """`variant`: the one that was asked and failed, if any was asked."""
        if variant is not None:
            self.headers |= {VARIANT_HEADER: variant.name, VERSION_HEADER: variant.version}
        if self.closes:
            self.headers["Connection"] = "close"
        response = json_response(self._body, self.status, self.headers)
        if self.closes:
            response.force_close()
        return response

    def raw(self) -> bytes:
        """The whole answer as bytes, for a connection that has not received a complete request."""
        body = orjson.dumps(self._body)
        lines = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    @property
    def _body(self) -> dict[str, str]:
        return {"error": self.summary, "detail": self.detail}


def json_response(
    body: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")


def nothing_there(path: str) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.NOT_FOUND,
        "Nothing is served here",
        f"{path} belongs to no deployment. URLs look like /TENANT/DEPLOYMENT/predict; GET / lists the deployments.",
    )


def no_such_variant(route: LiveRoute, wanted: str) -> GatewayRefusal:
    known = ", ".join(f"{variant.name} (version {variant.version})" for variant in route.variants) or "none"
    return GatewayRefusal(
        HTTPStatus.NOT_FOUND,
        "Unknown variant",
        f"{VARIANT_HEADER} asks for {wanted!r} of {route.tenant}/{route.deployment}, which has: {known}.",
    )


def nobody_ready(route: LiveRoute) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "No replica is ready",
        f"No replica of {route.tenant}/{route.deployment} takes requests now. Try again in a moment; "
        "`kubeserve status` says why it stays so.",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def too_slow(route: LiveRoute) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.GATEWAY_TIMEOUT,
        "The model took too long",
        f"{route.tenant}/{route.deployment} did not answer within {route.request_seconds:g} s, the deployment's time "
        "limit for a request.",
    )


def body_too_slow(route: LiveRoute) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.REQUEST_TIMEOUT,
        "The request took too long to arrive",
        f"Its body was not complete within {route.request_seconds:g} s, the deployment's time limit for a request.",
    )


def body_too_long(limit: int) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request is too large",
        f"Its body has more than {limit} bytes, which is the most that the gateway passes on.",
    )


def broken_body() -> GatewayRefusal:
    return GatewayRefusal(HTTPStatus.BAD_REQUEST, "The request is broken", "Its body does not end where its head says.")


def no_answer(route: LiveRoute, why: str) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.BAD_GATEWAY,
        "The model did not answer",
        f"The replica of {route.tenant}/{route.deployment} that got the request ended it without a whole answer "
        f"({why}). The request may have been worked on, so it was not sent again.",
    )


def no_websocket() -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.NOT_IMPLEMENTED, "WebSocket is not supported", "Deployments answer plain HTTP requests.", closes=True
    )


def no_such_version() -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        "Unknown version of HTTP",
        "The gateway speaks HTTP/1.1 and HTTP/1.0.",
        closes=True,
    )


def no_tunnel() -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.NOT_IMPLEMENTED, "CONNECT is not supported", "The gateway opens no tunnels.", closes=True
    )  # fmt: skip


def unknown_coding() -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.NOT_IMPLEMENTED,
        "Unknown transfer coding",
        "The only Transfer-Encoding that the gateway decodes is chunked. Name a compression in Content-Encoding.",
        closes=True,
    )


def coding_of_old_version() -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.BAD_REQUEST,
        "The request is malformed",
        "HTTP/1.0 has no Transfer-Encoding, so where the body ends is unclear. Send HTTP/1.1, or a Content-Length.",
        closes=True,
    )


def malformed(why: str) -> GatewayRefusal:
    """`why`: the parser's message, which ends with an excerpt of the request."""
    return GatewayRefusal(
        HTTPStatus.BAD_REQUEST,
        "The request is malformed",
        f"It is not HTTP/1.1 as RFC 9112 defines it: {_EXCERPT.split(why.strip())[0].rstrip(':.')}.",
        closes=True,
    )


def head_too_slow(seconds: float) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.REQUEST_TIMEOUT,
        "The request took too long to arrive",
        f"Its head was not complete {seconds:g} s after its first byte.",
        closes=True,
    )


def too_many_connections() -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many connections",
        "The gateway is answering as many requests as it may have connections. Try again in a moment.",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
        closes=True,
    )


def too_many(route: LiveRoute, limit: int) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many requests",
        f"{route.tenant}/{route.deployment} is answering {limit} requests, which is the most that the gateway keeps "
        "open for one deployment. Try again in a moment; more replicas answer more.",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def wrong_method(method: str, allowed: str) -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", f"{method} means nothing here; use {allowed}.",
        {"Allow": allowed},
    )  # fmt: skip


def our_fault() -> GatewayRefusal:
    return GatewayRefusal(
        HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed", "gateway.log of the run directory says why."
    )
