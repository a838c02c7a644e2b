"""Kubernetes quantities ("500m", "1Gi", "1e3") as exact numbers, to compare and to add up. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from reconciler.model.resources import JSON

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,2}))?")
_BINARY = {unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@lru_cache(maxsize=4096, typed=True)
def amount(quantity: str | int | float) -> Decimal | None:
    """The number that a quantity stands for, in its own unit (cores, bytes, pods); None if it is not a quantity.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return None
    number, binary, decimal, exponent = match.groups()
    if binary:
        return Decimal(number) * _BINARY[binary]
    return Decimal(number).scaleb(_DECIMAL[decimal] if decimal else int(exponent or 0))


def same_amount(one: JSON, other: JSON) -> bool:
    """Whether two values are the same quantity, however they are written."""
    if not isinstance(one, str | int | float) or not isinstance(other, str | int | float):
        return False
    left, right = amount(one), amount(other)
    return left is not None and left == right
