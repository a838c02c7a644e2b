"""What a plan says about a variant: its contents as words and values that the author of the spec knows. Pure.

`plan/` compares these fields of a desired variant with those that a target reports of a live one; targets write
them down when they apply. No secret is in them: references are named, and a literal that looks like a
credential is shown as a short hash, so that it still differs when it changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson

from reconciler.model.resources import JSON, DesiredVariant, Replicas, SecretRef
from specs.credentials import hide_credentials, looks_like_credential

_OUR_WORDS = ("secret ", "hidden (", '"')
_UNITS = (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))


def variant_fields(variant: DesiredVariant) -> dict[str, str]:
    """Field -> value, in the order in which a plan shows them. `env.NAME` holds one variable each."""
    fields = {
        "version": variant.version_name,
        "model": variant.model,
        "digest": variant.digest,
        "replicas": _replicas(variant.replicas),
        "cpu": _cpu(variant.cpu_millicores),
        "memory": _memory(variant.memory_bytes),
        "checks": _checks(variant.checks),
        "request timeout": f"{variant.request_seconds:g} s",
        "drain timeout": f"{variant.drain_seconds:g} s",
        "runtime": variant.runtime,
    }
    fields |= {f"env.{name}": _env(name, value) for name, value in sorted(variant.env.items())}
    return fields


def drain_seconds(fields: Mapping[str, str]) -> float | None:
    """What `variant_fields` wrote down as the drain timeout; None where it says none."""
    try:
        return float(fields.get("drain timeout", "").removesuffix(" s"))
    except ValueError:
        return None


def smallest_replicas(fields: Mapping[str, str]) -> int:
    """What `variant_fields` wrote down as the replicas, at least; 0 where it says none."""
    smallest = fields.get("replicas", "").partition(" ")[0]
    return int(smallest) if smallest.isdigit() else 0


def hidden(value: str) -> str:
    """What stands for a credential: it differs when that does."""
    return f"hidden ({_short_hash(value.encode())})"


def _replicas(replicas: Replicas) -> str:
    return str(replicas.min) if replicas.min == replicas.max else f"{replicas.min} to {replicas.max}"


def _cpu(millicores: int) -> str:
    return f"{millicores}m" if millicores % 1000 else str(millicores // 1000)


def _memory(size: int) -> str:
    for unit, factor in _UNITS:
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _checks(checks: tuple[JSON, ...]) -> str:
    if not checks:
        return "none"
    return f"{len(checks)} ({_short_hash(orjson.dumps(checks, option=orjson.OPT_SORT_KEYS))})"


def _env(name: str, value: str | SecretRef) -> str:
    if isinstance(value, SecretRef):
        return f"secret {value.secret}/{value.key}"
    if looks_like_credential(value, name) or hide_credentials(value) != value:
        return hidden(value)
    # In quotes where it could be taken for a reference, a hidden value, or no value at all.
    return orjson.dumps(value).decode() if value == "none" or value.startswith(_OUR_WORDS) else value


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]
