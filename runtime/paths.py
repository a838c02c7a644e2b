"""The paths under which a deployment answers: the one place in Python; the chart has them in `_helpers.tpl`. Pure.

The server answers them as they are, and whatever routes requests to it sends them on unchanged.
"""

from __future__ import annotations

PREDICT_PREFIX = "/api/v1/predict/"


def predict_path(tenant: str, deployment: str) -> str:
    """Where predictions are asked for."""
    return f"{PREDICT_PREFIX}{tenant}/{deployment}"


def path_prefixes(tenant: str, deployment: str) -> tuple[str, str]:
    """What the path of each of a deployment's requests starts with: the short form, and that of `predict_path`."""
    return f"/{tenant}/{deployment}", predict_path(tenant, deployment)
