"""How long the Kubernetes target waits for what others do. Pure; given to the target, which hands it on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds."""

    acceptance: float = 60.0  # for a gateway to accept a route
    admission: float = 15.0  # for all API servers to know of a RoleBinding that was just made
    removal: float = 5.0  # for an object to be gone before it is made again; later, `ensure` has to be called again
    patience: float = 5.0  # that one of many variants may stand still before its pods are looked at
    freshness: float = 5.0  # since the cluster was heard, so that traffic may move by what it said
    pulling: float = 60.0  # that an image may fail to be pulled
    first_pause: float = 0.5  # before a watch without events is started again; doubled up to the longest
    longest_pause: float = 8.0
