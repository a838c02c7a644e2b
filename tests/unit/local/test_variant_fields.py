from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.described import variant_fields
from reconciler.model.resources import DesiredVariant, Replicas, SecretRef
from tests.support.engine import graphs

VARIANT = graphs.variant("fraud", "churn", graphs.version("fraud", "churn", "v1"))


def test_a_variant_reads_as_its_spec_is_written() -> None:
    variant = replace(VARIANT, replicas=Replicas(1, 5), cpu_millicores=1500, memory_bytes=2 * 2**30)
    fields = variant_fields(variant)
    assert fields["version"] == "v1"
    assert fields["replicas"] == "1 to 5"
    assert fields["cpu"] == "1500m"
    assert fields["memory"] == "2Gi"
    assert fields["checks"] == "none"
    assert fields["env.LEVEL"] == "info"


@pytest.mark.parametrize(
    ("millicores", "memory", "shown"),
    [
        (500, 512 * 2**20, ("500m", "512Mi")),
        (2000, 1001, ("2", "1001")),
        (1, 5 * 10**8, ("1m", "500M")),
        (250, 3 * 2**10, ("250m", "3Ki")),
    ],
)
def test_quantities_keep_their_largest_whole_unit(millicores: int, memory: int, shown: tuple[str, str]) -> None:
    fields = variant_fields(replace(VARIANT, cpu_millicores=millicores, memory_bytes=memory))
    assert (fields["cpu"], fields["memory"]) == shown


def test_a_reference_to_a_secret_is_named() -> None:
    fields = variant_fields(replace(VARIANT, env={"TOKEN": SecretRef("hub", "token")}))
    assert fields["env.TOKEN"] == "secret hub/token"


def test_a_credential_within_a_value_is_hidden_with_it() -> None:
    shown = variant_fields(replace(VARIANT, env={"OPTS": "--level=info --password=hunter2-abc"}))
    assert "hunter2" not in shown["env.OPTS"]


def test_what_looks_like_a_credential_is_hidden_and_still_seen_to_change() -> None:
    one, other = (
        variant_fields(replace(VARIANT, env={"API_TOKEN": value}))["env.API_TOKEN"] for value in ("hush-1", "hush-2")
    )
    assert one.startswith("hidden")
    assert "hush" not in one
    assert one != other


def test_other_checks_are_another_value() -> None:
    checks = [{"inputs": [[1.0]], "outputs": [1]}, {"inputs": [[1.0]], "outputs": [0]}]
    shown = {variant_fields(replace(VARIANT, checks=(check,)))["checks"] for check in checks}
    assert len(shown) == 2
    assert all(value.startswith("1 (") for value in shown)


@pytest.mark.parametrize(
    "change", [{"replicas": Replicas(2, 2)}, {"cpu_millicores": 1}, {"memory_bytes": 1}, {"request_seconds": 1.5}]
)
def test_each_change_shows_in_one_field(change: dict[str, object]) -> None:
    changed: DesiredVariant = replace(VARIANT, **change)  # type: ignore[arg-type]
    old, new = variant_fields(VARIANT), variant_fields(changed)
    assert len([name for name in new if new[name] != old[name]]) == 1
