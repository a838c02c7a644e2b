"""What a plan says about a variant: its contents as words and values that the author of the spec knows. Pure.

`plan/` compares these fields of a desired variant with those that a target reports of a live one; targets record
them when they apply. They are text for people: nothing reads numbers back from them. No secret is in them:
references are named, and a literal that looks like a credential is shown as a short hash, so that it still differs
when it changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from reconciler.model.graph_digest import short_hash
from reconciler.model.resources import JSON, DesiredVariant, Replicas, SecretRef
from specs.credentials import hide_credentials, looks_like_credential
from specs.models.quantities import format_cpu, format_memory

_HASH_LENGTH = 8
_OUR_WORDS = ("secret ", "hidden (", '"')


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One difference in words that the author of the spec knows. None: absent on that side."""

    field: str
    old: str | None
    new: str | None


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[FieldChange]:
    """In the order of what is new, then what is only old."""
    for name in {**new, **old}:
        if old.get(name) != new.get(name):
            yield FieldChange(name, old.get(name), new.get(name))


def variant_fields(variant: DesiredVariant) -> dict[str, str]:
    """Field -> value, in the order in which a plan shows them. `env.NAME` holds one variable each."""
    fields = {
        "version": variant.version_name,
        "model": variant.model,
        "digest": variant.digest,
        "replicas": _replicas(variant.replicas),
        "cpu": format_cpu(variant.cpu_millicores),
        "memory": format_memory(variant.memory_bytes),
        "checks": _checks(variant.checks),
        "request timeout": f"{variant.request_seconds:g} s",
        "drain timeout": f"{variant.drain_seconds:g} s",
        "runtime": variant.runtime,
    }
    fields |= {f"env.{name}": _env(name, value) for name, value in sorted(variant.env.items())}
    return fields


def shares(weights: Mapping[str, int]) -> str:
    """`v1 90%, v2 10%`, by whatever names tell the variants apart."""
    return ", ".join(f"{name} {weight}%" for name, weight in weights.items())


def hidden(value: str) -> str:
    """What stands for a credential: it differs when that does."""
    return f"hidden ({short_hash(value.encode(), _HASH_LENGTH)})"


def _replicas(replicas: Replicas) -> str:
    return str(replicas.min) if replicas.min == replicas.max else f"{replicas.min} to {replicas.max}"


def _checks(checks: tuple[JSON, ...]) -> str:
    if not checks:
        return "none"
    return f"{len(checks)} ({short_hash(orjson.dumps(checks, option=orjson.OPT_SORT_KEYS), _HASH_LENGTH)})"


def _env(name: str, value: str | SecretRef) -> str:
    if isinstance(value, SecretRef):
        return f"secret {value.secret}/{value.key}"
    if looks_like_credential(value, name) or hide_credentials(value) != value:
        return hidden(value)
    # In quotes where it could be taken for a reference, a hidden value, or no value at all.
    return orjson.dumps(value).decode() if value == "none" or value.startswith(_OUR_WORDS) else value
