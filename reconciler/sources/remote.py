"""An artifact at an https:// or s3:// URL, as content for a store.

In: a URL, the sha256 that its spec pins, and the tenant's policy. Out: a Content whose stream ends with an error
unless the bytes are the pinned ones. Nothing is requested before the content is opened. The apply stage uploads it. No
message describes bytes that don't match the pin, because the tenant may have no right to read them.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from reconciler.artifacts.protocol import Content, StoreError
from reconciler.sources.protocol import CHUNK, SourceError
from reconciler.sources.remote_access import is_another_name_of, public_addresses
from specs.models.remote import HTTPS_PORT, RemotePolicy, shown_url, split_s3
from specs.problems import Refusal

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPSConnectionPool
    from urllib3.util import Url

    from reconciler.artifacts.s3.client import S3Settings

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
TOTAL_SECONDS = 3600.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Reach:
    """Settings of the connections for remote artifacts."""

    tls: ssl.SSLContext | None = None  # None: the authorities that this machine trusts
    s3: S3Settings | None = None  # None: boto3's own settings
    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS  # without a byte
    total_seconds: float = TOTAL_SECONDS


def open_remote(
    url: str,
    sha256: str,
    *,
    policy: RemotePolicy,
    max_bytes: int,
    allow_private: bool = False,
    reach: Reach | None = None,
) -> Content:
    """The content at a URL; `sha256` in hex. Opening and reading it raise SourceError.

    `policy` is asked about the URL and about every redirect.

    Proxies are not used: they would look up the host themselves, and reach what is private from where they are.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("https", "s3"):
        raise SourceError("Unsupported kind of URL", f"{shown_url(url)}: artifacts are fetched from https:// or s3://.")
    access = _Access(policy, max_bytes, allow_private, reach or Reach())

    @contextmanager
    def open_() -> Iterator[Iterator[bytes]]:
        opened = _open_https(url, access) if scheme == "https" else _open_s3(url, access)
        with opened as chunks:
            yield _pinned(chunks, url, sha256, max_bytes)

    return Content(open_)


@dataclass(frozen=True, slots=True)
class _Access:
    policy: RemotePolicy
    max_bytes: int
    allow_private: bool
    reach: Reach


def _pinned(chunks: Iterator[bytes], url: str, sha256: str, max_bytes: int) -> Iterator[bytes]:
    hasher = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(url, max_bytes)
        hasher.update(chunk)
        yield chunk
    if hasher.hexdigest() != sha256:
        raise SourceError(
            "The bytes are not those that were pinned",
            f"{shown_url(url)} does not have the sha256 of the spec, {sha256}. If the file was replaced on purpose, "
            "name a new version with the sha256 of the new file, which `sha256sum FILE` prints.",
        )


@contextmanager
def _open_s3(url: str, access: _Access) -> Iterator[Iterator[bytes]]:
    from reconciler.artifacts.s3.bucket import Bucket
    from reconciler.artifacts.s3.client import S3Settings

    with _refusals():
        access.policy.check(url)
    name, key = split_s3(url)
    bucket = Bucket(name, access.reach.s3 or S3Settings())
    try:
        with bucket.open(key) as chunks:
            yield chunks
    except StoreError as error:
        raise SourceError(
            "The remote artifact can't be read", f"{error.summary}. {error.detail}", retryable=error.retryable
        ) from error


@contextmanager
def _open_https(url: str, access: _Access) -> Iterator[Iterator[bytes]]:
    deadline = time.monotonic() + access.reach.total_seconds
    at = url
    for _ in range(MAX_REDIRECTS + 1):
        with _request(at, access) as response:
            if response.status not in _REDIRECTS:
                _require_ok(response, at, access.max_bytes)
                yield _body(response, at, deadline)
                return
            at = _redirected(at, response.headers.get("Location"))
    raise SourceError("Too many redirects", f"{shown_url(url)} leads on more than {MAX_REDIRECTS} times.")


def _body(response: BaseHTTPResponse, url: str, deadline: float) -> Iterator[bytes]:
    with _as_source_error(url):
        # read1 returns the bytes that have arrived, so that a slow server can't hold the reader past the deadline.
        while chunk := response.read1(CHUNK, decode_content=False):
            yield chunk
            if time.monotonic() > deadline:
                raise SourceError("The download takes too long", f"{shown_url(url)} was given up.", retryable=True)


@contextmanager
def _request(url: str, access: _Access) -> Iterator[BaseHTTPResponse]:
    from urllib3.util import parse_url

    with _as_source_error(url):
        parsed = parse_url(url)
    if parsed.scheme != "https" or parsed.auth is not None or not parsed.host:
        raise SourceError(
            "Unsupported kind of URL", f"{shown_url(url)}: only https:// URLs without credentials are read."
        )
    host, port = parsed.host.strip("[]"), parsed.port or HTTPS_PORT
    with _refusals():
        access.policy.check_https(url, host, port, parsed.path or "")
    addresses = public_addresses(host, port, allow_private=access.allow_private)
    _refuse_other_names_of_the_store(url, (host, port, parsed.path or ""), addresses, access.policy)
    pool, response = _connect(url, parsed, addresses, access)
    try:
        yield response
    finally:
        response.close()
        pool.close()


def _refuse_other_names_of_the_store(
    url: str, at: tuple[str, int, str], addresses: list[str], policy: RemotePolicy
) -> None:
    host, port, path = at
    store = policy.store
    if store and store.holds_path(host, path, same_server=True) and is_another_name_of(store, addresses):
        with _refusals():
            policy.check_https(url, host, port, path, same_server=True)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise SourceError(refusal.summary, refusal.detail) from refusal


def _connect(
    url: str, parsed: Url, addresses: list[str], access: _Access
) -> tuple[HTTPSConnectionPool, BaseHTTPResponse]:
    """The response of the first address that accepts a connection."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    host, port = (parsed.host or "").strip("[]"), parsed.port or HTTPS_PORT
    for address in addresses:
        pool = _pool(address, host, port, access.reach)
        try:
            with _as_source_error(url):
                return pool, _get(pool, parsed)
        except SourceError as error:
            pool.close()
            if address == addresses[-1] or not isinstance(error.__cause__, ConnectTimeoutError | NewConnectionError):
                raise
    raise AssertionError("a host has an address")


def _pool(address: str, host: str, port: int, reach: Reach) -> HTTPSConnectionPool:
    """Connections to the address that was checked, with the certificate of the host that was asked for."""
    from urllib3 import HTTPSConnectionPool
    from urllib3.util import Timeout

    timeout = Timeout(connect=reach.connect_seconds, read=reach.read_seconds)
    return HTTPSConnectionPool(
        address,
        port,
        timeout=timeout,
        ssl_context=reach.tls or _default_tls(),
        server_hostname=host,
        assert_hostname=host,
    )


@cache
def _default_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _get(pool: HTTPSConnectionPool, parsed: Url) -> BaseHTTPResponse:
    headers = {"Host": parsed.netloc or "", "Accept-Encoding": "identity", "User-Agent": "kubeserve"}
    return pool.urlopen(
        "GET", parsed.request_uri, headers=headers, redirect=False, retries=False, preload_content=False
    )


def _redirected(url: str, location: str | None) -> str:
    if not location:
        raise SourceError("Not a file", f"{shown_url(url)} redirects to nowhere.")
    return urljoin(url, location)


def _require_ok(response: BaseHTTPResponse, url: str, max_bytes: int) -> None:
    status = response.status
    if status != 200:
        meanings = {401: "It requires a login. ", 403: "It refuses access. ", 404: "Nothing is there. "}
        busy = status == 429 or status >= 500
        fix = "KubeServe will try again." if busy else "Check the URL, or `kubeserve push` the file."
        raise SourceError(
            "The remote artifact can't be read",
            f"{shown_url(url)} answered HTTP {status}. {meanings.get(status, '')}{fix}",
            retryable=busy,
        )
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(url, max_bytes)


def _too_large(url: str, max_bytes: int) -> SourceError:
    return SourceError(
        "The artifact is too large",
        f"{shown_url(url)} has more than {max_bytes} bytes. The operator may allow more: `limits:` in platform.yaml.",
    )


@contextmanager
def _as_source_error(url: str) -> Iterator[None]:
    from urllib3.exceptions import HTTPError, LocationParseError, SSLError

    try:
        yield
    except LocationParseError as error:
        raise SourceError("Not a URL", f"{shown_url(url)} can't be read as one.") from error
    except SSLError as error:
        raise SourceError(
            "No trusted connection",
            f"{shown_url(url)}: {error}. If its authority is your own, name its certificate in SSL_CERT_FILE.",
        ) from error
    except (HTTPError, OSError) as error:
        raise SourceError(
            "The remote artifact can't be read", f"{shown_url(url)}: {type(error).__name__}.", retryable=True
        ) from error
