"""The interface of a loaded model: what every loader returns, and all that the server uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """For people: the model's class, and the library with its version."""

    kind: str
    library: str
    version: str


class Predictor(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    @property
    def numeric(self) -> bool:
        """Whether `predict` takes a float64 array of shape (rows, features); else the list as it was sent."""

    @property
    def n_features(self) -> int | None:
        """How many numbers a row has, where the model says so."""

    def predict(self, rows: Any) -> Any:
        """One prediction per row, as a list or an array. Called from as many threads at once as the server's
        concurrency. InputError for rows that the model can't take; any other exception is its failure."""
