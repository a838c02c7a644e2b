"""One HTTP request to the API server: authenticated, bounded in time, retried where that is safe.

429 and Retry-After are obeyed; 5xx answers and broken connections are tried again with jitter, for every verb that
we send is idempotent (GET, server-side apply, DELETE with a UID; the POST of an Event or a Lease says so itself).
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.client.errors import RETRYABLE_STATUS, KubeError, Reason, error_of
from reconciler.targets.kubernetes.client.stream import Stream

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
ATTEMPTS = 5
FIRST_DELAY = 0.2  # seconds; doubles, with jitter
LONGEST_RETRY_AFTER = 30.0


class Transport:
    """Safe for threads; counts what it sends, by verb."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._host: str = api.configuration.host.rstrip("/")
        self._pool = api.rest_client.pool_manager
        self.requests: dict[str, int] = {}
        self.guard: Callable[[], None] = lambda: None
        """Asked right before every try of a request that writes; what it raises stops the request."""

    def json(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: JSON = None,
        *,
        what: str,
        content_type: str = "application/json",
        once: bool = False,
        guarded: bool = True,
    ) -> JSON:
        """Sends, and answers the decoded JSON. KubeError for an error."""
        encoded = None if body is None else _encoded(body)
        return orjson.loads(
            self.send(verb, path, query, encoded, what=what, content_type=content_type, once=once, guarded=guarded)
        )

    def send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        what: str,
        content_type: str = "application/json",
        accept: str = "application/json",
        once: bool = False,
        guarded: bool = True,
    ) -> bytes:
        """The body of a successful answer. `once`: no retry after the request may have arrived; `guarded`: a write
        is sent only if the guard allows it."""
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "Content-Type": content_type, **self._auth()}
        delay = FIRST_DELAY
        for attempt in range(1, ATTEMPTS + 1):
            if guarded and verb != "GET":
                self.guard()
            outcome, pause = self._try(verb, url, body, headers, what)
            if isinstance(outcome, bytes):
                return outcome
            retry = outcome.status in RETRYABLE_STATUS if outcome.status else not once
            if not retry or attempt == ATTEMPTS or (once and outcome.status != 429):
                raise outcome
            time.sleep(max(pause, delay * random.uniform(0.5, 1.5)))  # noqa: S311 - jitter
            delay *= 2
        raise AssertionError

    def stream(self, path: str, query: Mapping[str, str], *, what: str, silence: float | None = None) -> Stream:
        """An answer that the server keeps open. KubeError when it refuses; `silence`: seconds without a byte after
        which it counts as broken."""
        return Stream(self._request("GET", f"{path}?{urlencode(query)}", what=what, read=silence, preload=False), what)

    def ask(self, path: str, body: bytes, *, what: str, seconds: float) -> tuple[int, bytes, Mapping[str, str]]:
        """POSTs once through the server to a Service behind it. Returns its answer: status, body, headers."""
        answer = self._request("POST", path, what=what, read=seconds, body=body, refuse=False)
        return answer.status, answer.data, dict(answer.headers)

    def _request(
        self,
        verb: str,
        path: str,
        *,
        what: str,
        read: float | None,
        body: bytes | None = None,
        preload: bool = True,
        refuse: bool = True,
    ) -> Any:
        import urllib3

        headers = {"Accept": "*/*", "Content-Type": "application/json", **self._auth()}
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read)
        url = f"{self._host}{path}"
        self.requests[verb] = self.requests.get(verb, 0) + 1
        try:
            answer = self._pool.request(
                verb, url, body=body, headers=headers, timeout=timeout, retries=False, preload_content=preload
            )
        except urllib3.exceptions.HTTPError as error:
            raise KubeError(Reason.UNREACHABLE, what, f"{self._host} does not answer: {error}") from error
        if refuse and answer.status >= 400:
            raise error_of(answer.status, answer.read() if not preload else answer.data, what)
        return answer

    def _try(
        self, verb: str, url: str, body: bytes | None, headers: Mapping[str, str], what: str
    ) -> tuple[bytes | KubeError, float]:
        import urllib3

        self.requests[verb] = self.requests.get(verb, 0) + 1
        try:
            answer = self._pool.request(
                verb,
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            return KubeError(Reason.UNREACHABLE, what, f"{self._host} does not answer: {error}"), 0.0
        if answer.status < 400:
            return answer.data, 0.0
        return error_of(answer.status, answer.data, what), _retry_after(answer.headers.get("Retry-After"))

    def _auth(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        return headers


def _encoded(body: JSON) -> bytes:
    """JSON that is YAML too, as which apply bodies are read: what YAML has no place for, or would fold, is escaped."""
    text = orjson.dumps(body)
    if text.isascii() and b"\x7f" not in text:
        return text
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text.decode()).encode()


def _retry_after(value: str | None) -> float:
    try:
        return min(float(value or 0), LONGEST_RETRY_AFTER)
    except ValueError:
        return 0.0
