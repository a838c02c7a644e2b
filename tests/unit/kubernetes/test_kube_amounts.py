"""Quantities as the API writes them, and as people do."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.targets.kubernetes.objects.quantities import amount, same_amount


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        (2, "2"),
        (0.5, "0.5"),
        (".5", "0.5"),
        ("1.", "1"),
        ("1Gi", str(2**30)),
        ("0.5Gi", str(2**29)),
        ("1G", "1000000000"),
        ("128974848", "128974848"),
        ("129e6", "129000000"),
        ("1E3", "1000"),
        ("2E", str(2 * 10**18)),
        ("100n", "0.0000001"),
        ("-1k", "-1000"),
    ],
)
def test_a_quantity_is_an_exact_number(quantity: str | float, number: str) -> None:
    assert amount(quantity) == Decimal(number)


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1KB", "1gi", "one", "1e", "0x10", "1Gi1", "True"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert amount(text) is None


@given(st.integers(0, 10**12))
def test_milli_units_are_a_thousandth(number: int) -> None:
    assert same_amount(f"{number * 1000}m", str(number))
    assert not same_amount(f"{number * 1000 + 1}m", str(number))


def test_only_quantities_are_the_same_as_quantities() -> None:
    assert same_amount(1, "1")
    assert same_amount("1024Mi", "1Gi")
    assert not same_amount("one", "one")
    assert not same_amount(None, "1")
    assert not same_amount({"cpu": 1}, "1")
