"""What looks like a credential, so that it is warned about and never shown.

The loader warns of literal ones in `env`; every message and excerpt hides what is found here.
"""

from __future__ import annotations

import re

HIDDEN = "********"

_NAME = re.compile(
    r"(?:^|[_.-])(?:TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|PWD|KEY|APIKEY|CREDENTIAL|CREDENTIALS|AUTH)$",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}"
    r"|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bhf_[A-Za-z0-9]{20,}"
    r"|\bxox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"
    r"|[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"
)
_NOT_SECRET = re.compile(r"[\d.]*|true|false|yes|no|on|off|none|null", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(?P<name>[\w.-]*?(?:TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|PWD|KEY|CREDENTIALS?|AUTH))[\"']?\s*[:=]\s*(?P<value>\S.*)",
    re.IGNORECASE,
)


def is_credential_name(name: str) -> bool:
    """Whether a variable or field of this name usually holds a credential: HUB_TOKEN, password, …"""
    return _NAME.search(name) is not None


def looks_like_credential(value: str, name: str = "") -> bool:
    """Whether a literal value gives itself away, or is named as one and isn't a plain word or number."""
    if _VALUE.search(value):
        return True
    return is_credential_name(name) and _NOT_SECRET.fullmatch(value) is None
