"""Decides which remote artifacts a tenant may name: those that the operator grants, never objects of the store itself.

A download uses the operator's credentials and network, so a spec alone must not decide what is read. Purely lexical;
`sources/remote.py` checks again for each redirect and each address that it connects to.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, normpath
from urllib.parse import unquote, urlsplit

from specs.models.urls import BUCKET_PATTERN, MAX_URL
from specs.names import quoted
from specs.problems import Refusal

ANY_HOST = "https://*"
DEFAULT_GRANTS = (ANY_HOST,)
HTTPS_PORT = 443
SHOWN_URL = 120

_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+")
_MAX_DECODINGS = 4
# Bucket and region are parts of the name or of the path: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
_AWS = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9.-]+)?\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")


def check_grant(value: str) -> str:
    """`s3://bucket`, `s3://bucket/prefix`, `https://host`, `https://host:port` or `https://*`, or a Refusal."""
    if value == ANY_HOST or _is_s3_grant(value) or _is_host_grant(value):
        return value
    raise Refusal(
        "artifact-grant",
        "Not a place of remote artifacts",
        f"{quoted(value)} must be s3://bucket/prefix/, https://host, https://host:port, or {ANY_HOST} for every host.",
    )


def split_s3(url: str) -> tuple[str, str]:
    """Bucket and key. A key may hold '?' and '#', which mean nothing in it."""
    bucket, _, key = url.partition("://")[2].partition("/")
    return bucket, key


def shown_url(url: str) -> str:
    """A URL without its query, which after a redirect may be a signature, and without credentials."""
    parts = urlsplit(url)
    return quoted(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", limit=SHOWN_URL)


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """Where the artifact store keeps its objects, whichever way a URL spells that."""

    bucket: str
    prefix: str  # empty, or ends in a slash
    hosts: frozenset[str] = frozenset()  # of its endpoints, besides those of AWS

    def holds_object(self, bucket: str, key: str) -> bool:
        """Whether an object may be one of the store's. The endpoint is not compared: in doubt it is the same."""
        return bucket.lower() == self.bucket and any(map(self._holds, _spellings(key)))

    def holds_path(self, host: str, path: str, *, same_server: bool = False) -> bool:
        """Whether an https URL may be that of an object or a listing of the store. `same_server`: the host is another
        name of the store's endpoint."""
        by_path, by_name = self._addressing(normal_host(host))
        by_name |= same_server and normal_host(host).startswith(f"{self.bucket}.")
        for segments in _spellings(path):
            in_bucket = segments if by_name else None
            if (by_path or same_server) and segments[:1] == [self.bucket]:
                in_bucket = segments[1:]
            if in_bucket is not None and (not in_bucket or self._holds(in_bucket)):
                return True
        return False

    def _addressing(self, host: str) -> tuple[bool, bool]:
        """Whether a bucket is named in the path of this host, and whether the host names the store's bucket."""
        if host in self.hosts:
            return True, False
        if host.startswith(f"{self.bucket}.") and host.removeprefix(f"{self.bucket}.") in self.hosts:
            return False, True
        aws = _AWS.fullmatch(host)
        return (aws is not None and aws["bucket"] is None), (aws is not None and aws["bucket"] == self.bucket)

    def _holds(self, segments: list[str]) -> bool:
        wanted = [segment for segment in _folded(self.prefix).split("/") if segment]
        return segments[: len(wanted)] == wanted


@dataclass(frozen=True, slots=True)
class RemotePolicy:
    """What one tenant may fetch. Its checks raise a Refusal, and answer nothing otherwise."""

    tenant: str
    grants: tuple[str, ...] = DEFAULT_GRANTS
    store: StoreLocation | None = None  # None: not in S3

    def check(self, url: str) -> None:
        """An s3:// or https:// URL that `urls.check_artifact` accepted."""
        if url[:5].lower() == "s3://":
            self._check_s3(url)
            return
        parts = urlsplit(url)
        self.check_https(url, parts.hostname or "", parts.port or HTTPS_PORT, parts.path)

    def check_https(self, url: str, host: str, port: int, path: str, *, same_server: bool = False) -> None:
        """`host`, `port` and `path` are what is really connected to and asked for; `url` is for messages."""
        if self.store and self.store.holds_path(host, path, same_server=same_server):
            raise _of_the_store(url)
        wanted = (normal_host(host), port)
        if not any(grant == ANY_HOST or _host_of(grant) == wanted for grant in self.grants):
            shown = f"[{host}]" if ":" in host else host
            raise self._not_granted(url, f"https://{shown}" if port == HTTPS_PORT else f"https://{shown}:{port}")

    def _check_s3(self, url: str) -> None:
        bucket, key = split_s3(url)
        if self.store and self.store.holds_object(bucket, key):
            raise _of_the_store(url)
        if any(grant.startswith("s3://") and _grants_object(grant, bucket, key) for grant in self.grants):
            return
        folder = dirname(key)
        raise self._not_granted(url, f"s3://{bucket}/{folder}/" if folder else f"s3://{bucket}/{key}")

    def _not_granted(self, url: str, grant: str) -> Refusal:
        line = f"tenants: {{{self.tenant}: {{artifacts: {json.dumps([*self.grants, grant], ensure_ascii=False)}}}}}"
        how = f"`{line}`" if len(self.grants) <= 3 else f"add {quoted(grant)} to the `artifacts:` of the tenant"
        return Refusal(
            "artifact-not-granted",
            "Remote artifact is not granted",
            f"Tenant '{self.tenant}' may not fetch {shown_url(url)}. The operator allows it in platform.yaml: {how}.",
        )


def normal_host(host: str) -> str:
    """A host name in the one spelling that is compared: lower case, ASCII, without a dot at its end."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return host


def _of_the_store(url: str) -> Refusal:
    return Refusal(
        "artifact-of-the-store",
        "The store's own objects are no remote artifacts",
        f"{shown_url(url)} is in the artifact store, which holds the models of all tenants. A version that is stored "
        "already is named by its `digest:`.",
    )


def _spellings(path: str) -> Iterator[list[str]]:
    """The segments that some server may take a path for: as written, decoded, and without `.` and `..`."""
    for _ in range(_MAX_DECODINGS):
        folded = _folded(path)
        yield [segment for segment in folded.split("/") if segment]
        yield [segment for segment in normpath(f"/{folded}").split("/") if segment]
        decoded = unquote(path)
        if decoded == path:
            return
        path = decoded


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace("\\", "/")).casefold()


def _grants_object(grant: str, bucket: str, key: str) -> bool:
    """Whole segments are compared, so that team/ doesn't grant team-secret/; and every spelling of the key has to be
    inside, so that no server is led out again."""
    granted_bucket, prefix = split_s3(grant)
    prefix = prefix.removesuffix("/")
    if bucket != granted_bucket or (prefix and key != prefix and not key.startswith(f"{prefix}/")):
        return False
    wanted = [segment for segment in _folded(prefix).split("/") if segment]
    return all(segments[: len(wanted)] == wanted for segments in _spellings(key))


def _is_s3_grant(value: str) -> bool:
    bucket, key = split_s3(value)
    segments = key.removesuffix("/").split("/") if key else []
    return (
        value.startswith("s3://")
        and len(value) <= MAX_URL
        and re.fullmatch(BUCKET_PATTERN, bucket) is not None
        and not {"", ".", "..", "*", "**"}.intersection(segments)
        and value.isprintable()
    )


def _is_host_grant(value: str) -> bool:
    try:
        place = _host_of(value)
    except ValueError:
        return False
    return value.startswith("https://") and place is not None and _HOST.fullmatch(place[0]) is not None


def _host_of(grant: str) -> tuple[str, int] | None:
    """Host and port of an https grant; None for one of s3. ValueError for what is neither."""
    if grant.startswith("s3://"):
        return None
    parts = urlsplit(grant)
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or not parts.hostname:
        raise ValueError("not only a host")
    return normal_host(parts.hostname), parts.port or HTTPS_PORT
