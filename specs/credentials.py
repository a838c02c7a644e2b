"""Recognises text that looks like a credential, so that it is warned about and never shown.

The loader warns of literal credentials in `env`; every message and excerpt hides what this module recognises. Hiding
too much is harmless, so a line is hidden from the first character that may belong to a secret.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "********"

_WORDS = (
    r"(?:(?i:TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY|AUTHORIZATION|COOKIE)"
    r"|(?<![A-Za-z])(?i:KEY|PWD|PASS|AUTH)|(?<=[a-z0-9])(?:Key|Auth))"
)
_NAME = re.compile(rf"{_WORDS}$")
_VALUE = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}"
    r"|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bhf_[A-Za-z0-9]{20,}"
    r"|\bxox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|\bsk-(?:(?:ant|proj|svcacct)-[A-Za-z0-9_-]{16,}|[A-Za-z0-9]{32,})"
    r"|\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{10,500}\.eyJ[A-Za-z0-9_-]{10,}"
    r"|\b(?i:Bearer)\s{1,5}(?=\S{0,500}(?:\d|[a-z][A-Z]))[\w+/.~=-]{8,}"
    r"|\b(?i:Basic)\s{1,5}(?=\S{0,500}(?:[\d=]|[a-z][A-Z]))[A-Za-z0-9+/]{8,}={0,2}(?![\w.-])"
    r"|(?<=://)[^/\s@]{1,5000}@"
    r"|[?&](?i:X-Amz-Signature|X-Amz-Credential|sig|signature|token|access_token|key|api_?key|password)="
)
_USERINFO = re.compile(r"(?<=://)[^@\n]{1,512}@")  # also where a malformed password has spaces or slashes
_HARMLESS = re.compile(r"[\d.]{0,12}|true|false|yes|no|on|off|none|null", re.IGNORECASE)

_REFERENCE = r"\{\s{0,50}[\"']?(?:secret|key)\b"  # `TOKEN: {secret: …`: its braces are shown, its names are not
_ASSIGNED = re.compile(rf"{_WORDS}[\"']?\s{{0,50}}[:=]\s{{0,50}}(?!\s|{_REFERENCE})")
_FLAG = re.compile(rf"(?<!\S)--?[\w.-]{{0,100}}{_WORDS}[ \t]{{1,50}}(?!\s|--)")  # `login --password …`
_OPENED = re.compile(rf"{_WORDS}[\"']?\s{{0,50}}:\s{{0,50}}(?!\s|{_REFERENCE})(?P<rest>.*)")
_ENTRY = re.compile(r"\s*[\w.\"'-]+\s*:(?:\s|$)")
_PEM_BEGIN = "-----BEGIN"
_PEM_END = "-----END"
_REACH = 200  # lines above that are searched for the start of a scalar
_WIDTH = 2_000  # characters at the end of a line in which a value may have begun


def is_credential_name(name: str) -> bool:
    """Whether a variable, field, header or flag of this name usually holds a credential: HUB_TOKEN, apiKey, Cookie."""
    return _NAME.search(name) is not None


def looks_like_credential(value: str, name: str = "") -> bool:
    """Whether a literal value has the form of a credential, or has the name of one and isn't a plain word or number."""
    if _VALUE.search(value):
        return True
    return is_credential_name(name) and _HARMLESS.fullmatch(value) is None


def may_hold_credential(text: str) -> bool:
    """Whether a message should not repeat a text. Wider than `looks_like_credential`, which warns."""
    return _VALUE.search(text) is not None or _USERINFO.search(text) is not None


def hide_credentials(line: str) -> str:
    """The line up to where a credential may begin."""
    starts = [match.start() for pattern in (_VALUE, _USERINFO) if (match := pattern.search(line))]
    ends = [match.end() for pattern in (_ASSIGNED, _FLAG) if (match := pattern.search(line))]
    starts += [end for end in ends if end < len(line)]
    return line[: min(starts)] + HIDDEN if starts else line


def continues_credential(lines: Sequence[str], index: int) -> bool:
    """Whether a line may belong to a credential that began above it: the rest of a scalar, or of a private key."""
    before = [line for line in lines[max(0, index - _REACH) : index] if line.strip()]
    if not before:
        return False
    line = lines[index]
    parent = next((other for other in reversed(before) if _indent(other) < _indent(line)), "")
    return _inside_pem(before) or _leads_into(before[-1], line, below=False) or _leads_into(parent, line, below=True)


def _leads_into(opener: str, line: str, *, below: bool) -> bool:
    """Whether `line` can be more of the credential that `opener` names; `below`: it is indented deeper."""
    match = _OPENED.search(opener[-_WIDTH:])
    if not match:
        return False
    rest = match["rest"].strip()
    if not rest:
        return not _ENTRY.match(line)
    return below or rest[0] in "|>" or (rest[0] in "\"'" and rest.count(rest[0]) % 2 == 1)


def _inside_pem(before: Sequence[str]) -> bool:
    marks = [line for line in before if _PEM_BEGIN in line or _PEM_END in line]
    return bool(marks) and _PEM_END not in marks[-1]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
