"""Credentials for Git over HTTPS, from the environment or a file, and how messages are kept free of them.

    KUBESERVE_GIT_USERNAME, KUBESERVE_GIT_PASSWORD    a user and password for the source's host, or
    KUBESERVE_GIT_TOKEN                               a token instead
    KUBESERVE_GIT_CREDENTIALS_FILE                    for several hosts: lines https://user:password@host, as in
                                                      gitcredentials(7), percent-encoded; it wins where it has the host

Without any of them git still asks ~/.netrc. Called by `source.py`; git gets them from its environment, through the
credential helper of `configuration.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from reconciler.sources.paths import shown
from reconciler.sources.protocol import SourceError
from specs.credentials import HIDDEN

USERNAME = "KUBESERVE_GIT_USERNAME"
PASSWORD = "KUBESERVE_GIT_PASSWORD"  # noqa: S105 - the variable's name
TOKEN = "KUBESERVE_GIT_TOKEN"  # noqa: S105
FILE = "KUBESERVE_GIT_CREDENTIALS_FILE"

TOKEN_USER = "x-access-token"  # noqa: S105 - a user, not a token
"""Git hosts accept any user name with a token, or document this one."""

MAX_FILE_BYTES = 64 * 1024

_USERINFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    username: str
    password: str

    def __post_init__(self) -> None:
        if any(character in self.username + self.password for character in "\n\r\0"):
            raise SourceError("Unusable credentials", "A Git user or password holds a line break; remove it.")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every form in which the password might come back in a message."""
        return (self.password, quote(self.password), quote(self.password, safe=""))


def find_credentials(origin: str | None, environ: Mapping[str, str]) -> Credentials | None:
    """The credentials in the environment for a server (scheme://host[:port]); None if there are none."""
    if origin is None:
        return None
    if (path := environ.get(FILE)) and (found := _from_file(Path(path), origin)):
        return found
    if password := environ.get(PASSWORD):
        if not (username := environ.get(USERNAME)):
            raise SourceError("Incomplete credentials", f"{PASSWORD} is set and {USERNAME} is not. Set both.")
        return Credentials(username, password)
    if token := environ.get(TOKEN):
        return Credentials(environ.get(USERNAME) or TOKEN_USER, token)
    return None


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Text of git or a server without passwords, userinfo in URLs, and terminal control sequences."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return _CONTROL.sub("", _USERINFO.sub("", text))


def _from_file(path: Path, origin: str) -> Credentials | None:
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(MAX_FILE_BYTES).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SourceError("Can't read the Git credentials", f"{FILE} names {shown(str(path))}: {reason}.") from None
    for line in lines:
        url = urlsplit(line.strip())
        host = url.netloc.rpartition("@")[2].lower()
        if f"{url.scheme}://{host}" == origin and url.username and url.password:
            return Credentials(unquote(url.username), unquote(url.password))
    return None
