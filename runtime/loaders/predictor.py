"""What every loader makes of a model, and all that the server knows of one."""

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
        """Whether `predict` wants a float64 array of shape (rows, features); else the list as it was sent."""

    @property
    def n_features(self) -> int | None:
        """How many numbers a row has, where the model says so."""

    def predict(self, rows: Any) -> Any:
        """One prediction a row, as a list or an array. Called from several threads at once, as many as the
        server's concurrency. InputError for rows that the model can't be asked; anything else is its failure."""
