"""The one error root of the project. Every room imports it, so it imports nothing but the standard library.

Leaves set `code` and are shown to a user by their `str()`; foreign exceptions are wrapped once, where they enter.
"""

from __future__ import annotations

from typing import ClassVar


class KubeServeError(Exception):
    """A constant `summary`, a `detail` (what, why, how to fix it), and whether trying again can help."""

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
    def sentence(self) -> str:
        """Both in one, for a record or inside of another message."""
        return f"{self.summary}: {self.detail}" if self.detail else self.summary
