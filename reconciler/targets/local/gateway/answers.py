"""The gateway's own answers: JSON of a constant summary and a detail that says what, why and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from reconciler.targets.local.gateway.balance import LiveRoute, LiveVariant
from reconciler.targets.local.gateway.headers import VARIANT_HEADER, VERSION_HEADER

RETRY_AFTER_SECONDS = 1


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """Ends the handling of a request with an answer of the gateway's own."""

    def __init__(self, status: HTTPStatus, summary: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{summary}: {detail}")
        self.status = status
        self.summary = summary
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self, variant: LiveVariant | None = None) -> web.Response:
        """`variant`: who was asked and failed, where somebody was."""
        if variant is not None:
            self.headers |= {VARIANT_HEADER: variant.name, VERSION_HEADER: variant.version}
        return json_response({"error": self.summary, "detail": self.detail}, self.status, self.headers)


def json_response(
    body: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")


def nothing_there(path: str) -> Refusal:
    return Refusal(
        HTTPStatus.NOT_FOUND,
        "Nothing is served here",
        f"{path} belongs to no deployment. URLs look like /TENANT/DEPLOYMENT/predict; GET / lists the deployments.",
    )


def no_such_variant(route: LiveRoute, wanted: str) -> Refusal:
    known = ", ".join(f"{variant.name} (version {variant.version})" for variant in route.variants) or "none"
    return Refusal(
        HTTPStatus.NOT_FOUND,
        "Unknown variant",
        f"{VARIANT_HEADER} asks for {wanted!r} of {route.tenant}/{route.deployment}, which has: {known}.",
    )


def nobody_ready(route: LiveRoute) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "No replica is ready",
        f"No replica of {route.tenant}/{route.deployment} takes requests now. Try again in a moment; "
        "`kubeserve status` says why it stays so.",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def too_slow(route: LiveRoute) -> Refusal:
    return Refusal(
        HTTPStatus.GATEWAY_TIMEOUT,
        "The model took too long",
        f"{route.tenant}/{route.deployment} did not answer within {route.request_seconds:g} s, the deployment's time "
        "limit for a request.",
    )


def body_too_slow(route: LiveRoute) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_TIMEOUT,
        "The request took too long to arrive",
        f"Its body was not complete within {route.request_seconds:g} s, the deployment's time limit for a request.",
    )


def body_too_long(limit: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request is too large",
        f"Its body has more than {limit} bytes, which is the most that the gateway passes on.",
    )


def broken_body() -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "The request is broken", "Its body does not end where its head says.")


def no_answer(route: LiveRoute, why: str) -> Refusal:
    return Refusal(
        HTTPStatus.BAD_GATEWAY,
        "The model did not answer",
        f"The replica of {route.tenant}/{route.deployment} that got the request ended it without a whole answer "
        f"({why}). The request may have been worked on, so it was not sent again.",
    )


def no_websocket() -> Refusal:
    return Refusal(
        HTTPStatus.NOT_IMPLEMENTED, "WebSocket is not supported", "Deployments answer plain HTTP requests.",
        {"Connection": "close"},
    )  # fmt: skip


def no_such_version() -> Refusal:
    return Refusal(
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Unknown version of HTTP", "The gateway speaks HTTP/1.1 and HTTP/1.0.",
        {"Connection": "close"},
    )  # fmt: skip


def wrong_method(method: str, allowed: str) -> Refusal:
    return Refusal(
        HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", f"{method} means nothing here; use {allowed}.",
        {"Allow": allowed},
    )  # fmt: skip


def our_fault() -> Refusal:
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed", "gateway.log of the run directory says why.")
