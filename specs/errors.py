"""The one error root of the project. Every package imports it, so it imports nothing but the standard library.

Leaves set `code` and are shown to a user by their `str()`; foreign exceptions are wrapped once, where they enter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an error says, as a value: a constant `summary` and a `detail` (what, why, how to fix)."""

    summary: str
    detail: str = ""

    def __str__(self) -> str:
        return self.sentence

    @property
    def sentence(self) -> str:
        """Both in one, for a record or inside another message."""
        return f"{self.summary}: {self.detail}" if self.detail else self.summary


class KubeServeError(Exception):
    """A constant `summary`, a `detail` (what, why, how to fix), and whether trying again can help."""

    code: ClassVar[str] = "kubeserve"
    retryable: bool = False

    def __init__(self, summary: str, detail: str = "", *, retryable: bool | None = None) -> None:
        super().__init__(summary, detail)
        self.summary = summary
        self.detail = detail
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return "\n  ".join((self.summary, *self.detail.splitlines()))

    @property
    def trouble(self) -> Trouble:
        return Trouble(self.summary, self.detail)

    @property
    def sentence(self) -> str:
        """Both in one, for a record or inside another message."""
        return self.trouble.sentence
