"""Which version to fetch, from where and to where: read from the environment by `command.py`.

An empty variable counts as not set, because templates often leave them empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runtime.errors import SettingsError
from runtime.manifest import VersionRef

_PREFIX = "KUBESERVE_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a bucket, and how to reach it. Without an endpoint: AWS, or what AWS_ENDPOINT_URL names."""

    bucket: str
    prefix: str = ""  # empty, or ending in a slash
    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    place: Place
    wanted: VersionRef
    folder: Path


def settings_of(environment: Mapping[str, str]) -> Settings:
    """SettingsError for a variable that is lacking or can't be used."""
    place = Place(
        bucket=_needed(environment, "STORE_BUCKET"),
        prefix=_prefix(environment),
        endpoint=_endpoint(environment),
        region=environment.get(f"{_PREFIX}STORE_REGION") or None,
        path_style=_boolean(environment, "STORE_PATH_STYLE"),
    )
    wanted = VersionRef(
        tenant=_matching(environment, "TENANT", _NAME, "a name"),
        model=_matching(environment, "MODEL", _NAME, "a name"),
        version=_matching(environment, "VERSION", _NAME, "a name"),
        digest=_matching(environment, "DIGEST", _DIGEST, "'sha256:' and 64 hex digits"),
    )
    return Settings(place, wanted, Path(environment.get(f"{_PREFIX}ARTIFACTS") or "/artifacts"))


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(_PREFIX + name)
    if not value:
        raise SettingsError("Setting is missing", f"{_PREFIX}{name} is not set.")
    return value


def _matching(environment: Mapping[str, str], name: str, pattern: re.Pattern[str], words: str) -> str:
    value = _needed(environment, name)
    if not pattern.fullmatch(value):
        raise SettingsError("Bad setting", f"{_PREFIX}{name} is {value!r}, which is not {words}.")
    return value


def _prefix(environment: Mapping[str, str]) -> str:
    value = environment.get(f"{_PREFIX}STORE_PREFIX", "")
    if value and not value.endswith("/"):
        raise SettingsError("Bad setting", f"{_PREFIX}STORE_PREFIX is {value!r}, which does not end in a slash.")
    return value


def _endpoint(environment: Mapping[str, str]) -> str | None:
    value = environment.get(f"{_PREFIX}STORE_ENDPOINT")
    if not value:
        return None
    try:
        url = urlsplit(value)
        is_plain = url.scheme in ("http", "https") and bool(url.hostname) and "@" not in url.netloc
    except ValueError:
        is_plain = False
    if not is_plain:  # not repeated: it may hold a password
        raise SettingsError("Bad setting", f"{_PREFIX}STORE_ENDPOINT is no URL like https://s3.example.org.")
    return value


def _boolean(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(_PREFIX + name) or "false"
    if value.lower() not in _BOOLEANS:
        raise SettingsError("Bad setting", f"{_PREFIX}{name} is {value!r}, which is neither true nor false.")
    return _BOOLEANS[value.lower()]
