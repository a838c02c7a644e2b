"""What a variant's objects record of it in annotations, so that live state needs no file beside it. Pure.

`planning/prepare.py` writes the record, `planning/observe.py` reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from reconciler.model.described import variant_fields
from reconciler.model.resources import JSON, DesiredVariant, Replicas
from reconciler.targets.kubernetes.objects.identity import DIGEST, FACTS, FIELDS, Object, annotation, recorded


@dataclass(frozen=True, slots=True)
class VariantRecord:
    """What nobody recorded, or somebody broke, is empty or None."""

    version: str = ""
    model: str = ""
    digest: str = ""  # of the version
    replicas: Replicas | None = None
    drain_seconds: float | None = None
    described: Mapping[str, str] = field(default_factory=dict)


def annotations_of(variant: DesiredVariant) -> dict[str, str]:
    facts = {
        "version": variant.version_name,
        "model": variant.model,
        "minReplicas": variant.replicas.min,
        "maxReplicas": variant.replicas.max,
        "drainSeconds": variant.drain_seconds,
    }
    return {
        DIGEST: variant.digest,
        FIELDS: orjson.dumps(variant_fields(variant)).decode(),
        FACTS: orjson.dumps(facts).decode(),
    }


def record_of(described: Object) -> VariantRecord:
    facts = _facts(annotation(described, FACTS))
    least, most, drain = (facts.get(name) for name in ("minReplicas", "maxReplicas", "drainSeconds"))
    return VariantRecord(
        str(facts.get("version") or ""),
        str(facts.get("model") or ""),
        annotation(described, DIGEST),
        Replicas(least, most) if isinstance(least, int) and isinstance(most, int) else None,
        float(drain) if isinstance(drain, int | float) else None,
        recorded(annotation(described, FIELDS)),
    )


def _facts(text: str) -> Mapping[str, JSON]:
    try:
        facts = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) else {}
