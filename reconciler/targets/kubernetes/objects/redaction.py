"""Values of objects as a plan shows them: short, and without what looks like a credential. Pure.

Called by `compare.py` for each path that differs. A value is judged by what it is, and by what it is called: by its
field, by the `name` beside it, by the flag before it. Where the name isn't there to be seen, it may be any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import orjson

from reconciler.model.described import hidden
from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.identity import FIELDS
from specs.credentials import hide_credentials, is_credential_name, looks_like_credential, may_hold_credential
from specs.untrusted import cut, without_sequences

MAX_VALUE = 200
"""Characters of a value, where differences of objects are asked for."""

_OF_THE_API = frozenset({"key", "topologyKey"})
"""Fields of the API itself that are called as credentials are, and hold none."""
_CHOSEN = frozenset({"annotations", "labels", "data", "stringData", "params"})
"""Maps whose names somebody chose: none of them is a field of the API."""
_UNKNOWN = "password"
"""Used where the path has no name."""

_IN_A_MAP = re.compile(rf"(?:^|\.)(?:{'|'.join(sorted(_CHOSEN))})\.(?P<name>.+?)(?:\[\d+\])?$")
_VALUE_OF_ITEM = re.compile(r"(?P<list>\w+)\[(?P<item>[^\]]*)\]\.value$")
_FIELD = re.compile(r"(?P<name>[^.\[\]]+)(?:\[[^\]]*\])*$")
_ARGUMENT = re.compile(r"\.(?:args\[\d+\]|command\[[1-9]\d*\])$")  # the first of a command is the program
_PLAIN_ARGUMENT = re.compile(r"--[A-Za-z].*|-[A-Za-z]|(?:/[a-z0-9._-]{1,40})+/?", re.DOTALL)  # a flag, a path
_FLAG = re.compile(r"(?P<name>--?[A-Za-z][\w.-]*)(?:=(?P<value>.*))?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SCHEME = re.compile(r"(?:bearer|basic|token)\s+\S+", re.IGNORECASE)
_PAIRED = frozenset({"-u", "--user", "--proxy-user"})
"""Flags whose value may be `name:password`."""
_HIDDEN = re.compile(r"hidden \([0-9a-f]{8}\)")
_REFERENCE = re.compile(r"secret [a-z0-9.-]{1,253}/[\w.-]{1,253}")
"""How a variant records a variable that refers to a secret."""


def text(value: JSON, path: str, limit: int) -> str | None:
    """At most `limit` characters, and how many are missing; None for what is not there."""
    if value is None:
        return None
    return cut(str(_safe(value, _name(path, value), chosen=path.rpartition(".")[2] in _CHOSEN)), limit)


def _name(path: str, value: JSON) -> str:
    """What the value at a path is called."""
    if found := _IN_A_MAP.search(path):
        return found["name"].rstrip("]")
    if found := _VALUE_OF_ITEM.search(path):
        known = found["list"] in ("env", "tolerations") or not found["item"].isdigit()
        return found["item"] if known else _UNKNOWN
    if isinstance(value, str) and _ARGUMENT.search(path):
        return "" if _PLAIN_ARGUMENT.fullmatch(value) else _UNKNOWN
    found = _FIELD.search(path)
    return "" if found is None or found["name"] in _OF_THE_API else found["name"]


def _safe(value: JSON, name: str, *, chosen: bool = False) -> JSON:
    """`chosen`: the value is a map whose names somebody chose."""
    if isinstance(value, dict):
        return {
            hidden(key) if may_hold_credential(key) else key: _safe(
                below, _called(key, value, name, chosen=chosen), chosen=key in _CHOSEN
            )
            for key, below in value.items()
        }
    if isinstance(value, list):
        return list(_items(value, name))
    return _safe_text(value, name) if isinstance(value, str) else value


def _called(key: str, siblings: Mapping[str, JSON], above: str, *, chosen: bool) -> str:
    if chosen:
        return key
    if key in ("value", "values"):  # of a variable, a header, a field that is a map
        beside = siblings.get("name") or siblings.get("key")
        return beside if isinstance(beside, str) else above
    return "" if key in _OF_THE_API else key


def _items(values: Sequence[JSON], name: str) -> Iterator[JSON]:
    """Each by the flag before it, as in `["--password", "x"]`; but a flag that follows one is no value of it."""
    called = name
    for one in values:
        is_text = isinstance(one, str)
        yield _safe(one, name if is_text and (one.startswith("--") or len(one) == len("-p")) else called)
        flag = _FLAG.fullmatch(one) if is_text else None
        called = flag["name"] if flag and not flag["value"] else name


def _safe_text(value: str, name: str) -> str:
    flag = _FLAG.fullmatch(_plain(value))
    if flag and flag["value"] and not is_credential_name(name):
        return f"{flag['name']}={_judged(flag['value'], flag['name'])}"
    return _judged(value, name)


def _judged(value: str, name: str) -> str:
    if _HIDDEN.fullmatch(value) or (name.startswith(f"{FIELDS}[") and _REFERENCE.fullmatch(value)):
        return value
    plain = _plain(value)
    if looks_like_credential(plain, name) or _SCHEME.fullmatch(plain) or (name in _PAIRED and ":" in plain):
        return hidden(value)
    if plain.startswith(("{", "[")) and (document := _safe_document(plain)) is not None:
        return document
    return hidden(value) if _holds_credential(plain, name) else value


def _plain(value: str) -> str:
    """What a credential is looked for in: control characters neither hide one nor stand between its parts."""
    return _CONTROL.sub(" ", without_sequences(value))


def _safe_document(value: str) -> str | None:
    """JSON that is the text of a value, such as an annotation; None for what isn't JSON."""
    try:
        found = orjson.loads(value)
        safe = _safe(found, "")
    except ValueError:
        return None
    except RecursionError:
        return hidden(value)
    if safe == found and not _holds_credential(value, ""):
        return value  # as it is written: how may be all that differs
    return orjson.dumps(safe).decode()


def _holds_credential(value: str, name: str) -> bool:
    if name == "image":  # `registry.example.org/token:1.0` assigns nothing
        return may_hold_credential(value)
    return hide_credentials(value) != value
