"""What a variant's objects record of it, and what is read where somebody broke that."""

from __future__ import annotations

import pytest

from reconciler.model.described import variant_fields
from reconciler.model.resources import Replicas
from reconciler.targets.kubernetes.objects.identity import FACTS, Object
from reconciler.targets.kubernetes.objects.record import VariantRecord, annotations_of, record_of
from tests.support.engine.graphs import graph

(VARIANT,) = graph({"fraud/churn": "v1"}).variants.values()


def described(annotations: dict[str, str]) -> Object:
    return {"metadata": {"annotations": annotations}}


def test_what_was_recorded_is_read_back_with_its_types() -> None:
    record = record_of(described(annotations_of(VARIANT)))
    assert record == VariantRecord(
        "v1", VARIANT.model, VARIANT.digest, VARIANT.replicas, VARIANT.drain_seconds, variant_fields(VARIANT)
    )
    assert isinstance(record.replicas, Replicas)
    assert isinstance(record.drain_seconds, float)


def test_an_object_without_a_record_says_nothing() -> None:
    assert record_of({"metadata": {}}) == VariantRecord()


@pytest.mark.parametrize("broken", ["", "{", "[1]", '{"minReplicas": "many", "drainSeconds": "long"}'])
def test_a_record_that_somebody_broke_is_read_as_far_as_it_can_be(broken: str) -> None:
    record = record_of(described({**annotations_of(VARIANT), FACTS: broken}))
    assert (record.version, record.replicas, record.drain_seconds) == ("", None, None)
    assert record.digest == VARIANT.digest
