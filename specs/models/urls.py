"""Checks URLs in specs and platform.yaml: artifacts, Git repositories, endpoints, state files. Fetches nothing.

Each `check_*` returns its argument unchanged, or raises a Refusal. No message repeats a URL that holds a credential.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from specs.names import did_you_mean, quoted
from specs.problems import Refusal

MAX_URL = 2048
ARTIFACT_SCHEMES = ("s3", "https")
GIT_SCHEMES = ("https", "ssh")

BUCKET_PATTERN = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
GIT_REF = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\/.-][^\x00-\x20\x7f~^:?*\[\\]*(?<![/.])")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
_SIGNED = re.compile(
    r"[?&](x-amz-(signature|credential|security-token)|signature|sig|token|access_token|key|api_?key|password)=", re.I
)
_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!/)(?!:).+")
# No option (-x), no remote helper (ext::x), no host that is an option (user@-x:path, ssh://-x/).
_GIT_SHAPE = re.compile(r"(?!-)(?![^/]*::)(?!(?:[^/:]*@)?-[^/]*:)(?![A-Za-z+]+://(?:[^/@]*@)?-).")


def is_url(text: str) -> bool:
    """Whether it starts with a scheme and ://, so that it isn't a path."""
    return _SCHEME.match(text) is not None


def check_artifact(value: str) -> str:
    """A path (checked where its file is known), or an s3:// or https:// URL without credentials."""
    if not is_url(value):
        return value
    if (scheme := _scheme(value)) not in ARTIFACT_SCHEMES:
        raise Refusal(
            "url-scheme",
            "Unsupported kind of URL",
            f"Artifacts are fetched from s3:// or https://, not from {scheme}://."
            f"{did_you_mean(scheme, ARTIFACT_SCHEMES)}",
        )
    url = _split(value, "artifact")
    if scheme == "s3":
        _check_s3(url, value, "artifact")
    _refuse_credentials(url)
    return value


def check_requirements(value: str) -> str:
    """A path; requirements are small and belong beside the spec."""
    if is_url(value):
        raise Refusal(
            "url-scheme", "Requirements are a file", "Commit requirements.txt beside this file, and write its path."
        )
    return value


def check_git_url(value: str) -> str:
    """https://, ssh://, user@host:path, file:// or a local path. Whether a local one is allowed is decided later."""
    if _UNSAFE.search(value) or not _GIT_SHAPE.match(value):
        raise Refusal(
            "git-url",
            "Not a Git URL",
            f"{quoted(value)} is refused. Write https://host/path, ssh://git@host/path, or git@host:path.",
        )
    scheme = _scheme(value)
    if scheme in ("", "file"):
        return value
    if scheme not in GIT_SCHEMES:
        raise Refusal(
            "git-url",
            "Unsupported kind of Git URL",
            f"Repositories are fetched over https or ssh, not over {scheme}: what is neither encrypted nor "
            "authenticated would let others choose what runs.",
        )
    _refuse_credentials(_split(value, "repository"), user_is_secret=scheme == "https")
    return value


def is_local_git(value: str) -> bool:
    """Whether a checked Git URL is a path of this machine."""
    if is_url(value):
        return _scheme(value) == "file"
    return _SCP_LIKE.fullmatch(value) is None


def check_endpoint(value: str) -> str:
    """An http:// or https:// URL without credentials, query or fragment."""
    url = _split(value, "endpoint")
    if url.scheme not in ("http", "https") or url.query or url.fragment:
        raise Refusal(
            "endpoint", "Not an endpoint", f"{quoted(value)} must be an http:// or https:// URL without a query."
        )
    _refuse_credentials(url)
    return value.rstrip("/")


def check_state(value: str) -> str:
    """A path, or s3://bucket/key."""
    if scheme := _scheme(value):
        if scheme != "s3":
            raise Refusal("state-url", "Unsupported place for state", "Write a path, or s3://bucket/key.")
        url = _split(value, "state")
        _check_s3(url, value, "state")
        _refuse_credentials(url)
    return value


def check_prefix(value: str) -> str:
    """The start of every key of a store, with a slash at its end where it isn't empty."""
    if value.startswith("/") or "//" in value or ".." in value.split("/") or _UNSAFE.search(value) or len(value) > 512:
        raise Refusal(
            "prefix", "Not a prefix of keys", f"{quoted(value)} must be names with slashes between, like models/prod/."
        )
    return f"{value.rstrip('/')}/" if value else ""


def _scheme(value: str) -> str:
    """The scheme in lower case; "" for what isn't a URL."""
    match = _SCHEME.match(value)
    return match[1].lower() if match else ""


def _split(value: str, what: str) -> SplitResult:
    if len(value) > MAX_URL:
        raise Refusal("url", "URL is too long", f"The {what} URL has more than {MAX_URL} characters.")
    try:
        if _UNSAFE.search(value):
            raise ValueError("it has spaces, backslashes or control characters")
        url = urlsplit(value)
        _ = url.port
    except ValueError as error:
        raise Refusal("url", "Not a URL", f"The {what} URL can't be read: {_safe(str(error), value)}.") from None
    if not url.hostname:
        raise Refusal("url", "URL without a host", f"The {what} URL names no host: write scheme://host/path.")
    return url


def _safe(reason: str, value: str) -> str:
    """The reason, unless it repeats a part of what may hold a credential."""
    return reason if "@" not in value else "its host or port is malformed"


def _check_s3(url: SplitResult, value: str, what: str) -> None:
    key = value.partition("://")[2].partition("/")[2]
    if not re.fullmatch(BUCKET_PATTERN, url.netloc) or not url.path.strip("/"):
        raise Refusal(
            "s3-url",
            "Not an S3 object",
            f"The {what} must be named as s3://bucket/key. A bucket's name has 3 to 63 lower-case letters, digits, "
            "dots and hyphens, and begins and ends with a letter or digit.",
        )
    if {"", ".", ".."}.intersection(key.split("/")):
        raise Refusal(
            "s3-url",
            "Not an S3 object",
            f"The {what} must be named as s3://bucket/key, with no part of the key empty, '.' or '..'.",
        )


def _refuse_credentials(url: SplitResult, *, user_is_secret: bool = True) -> None:
    if url.password is not None or (url.username is not None and user_is_secret):
        raise Refusal(
            "credentials-in-url",
            "Credentials inside a URL",
            "What is committed is read by many. Remove what stands before the '@', revoke it, and let the environment "
            "or a file provide it.",
        )
    if _SIGNED.search("?" + url.query):
        raise Refusal(
            "credentials-in-url",
            "Credentials inside a URL",
            "A signed URL, or one with a token in its query, is a credential, and it expires. Remove the query, revoke "
            "what it gave, and let the environment provide access.",
        )
