"""Documents of YAML as plain data, each knowing where every part of it is written.

The reader makes them; the loader validates `data` and asks for places and problems by keys, as in
`place(("deployments", "churn", "version"))`. Later stages do the same through what was loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from specs.problems import Place, Problem, Severity
from specs.syntax.text import SpecText

Key = str | int

# A scalar's position; of a mapping each key's own position and its value's marks; of a sequence its items' marks.
Marks: TypeAlias = "int | dict[str, tuple[int, Marks]] | list[Marks]"

KEY = "[key]"
"""As the last of some keys it means the key itself, not its value. pydantic uses the same word."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of one document are written. Keys that are not there lead to the nearest part around them."""

    text: SpecText
    marks: Marks
    start: int

    def place(self, keys: Sequence[Key]) -> Place:
        return self.text.place(self.position(keys))

    def problem(
        self, keys: Sequence[Key], code: str, summary: str, detail: str, severity: Severity = Severity.ERROR
    ) -> Problem:
        return self.text.problem(self.position(keys), code, summary, detail, severity)

    def position(self, keys: Sequence[Key]) -> int:
        """The place of a scalar is its own; the place of a mapping or sequence is that of its key."""
        marks, key_position = self._walk(keys)
        if keys and keys[-1] == KEY and key_position is not None:
            return key_position
        if isinstance(marks, int):
            return marks
        return key_position if key_position is not None else _first(marks, self.start)

    def plain_scalar(self, keys: Sequence[Key]) -> str:
        """The number, boolean or null there as it is written; "" when something else is."""
        marks, _ = self._walk(keys)
        return self.text.plain_scalar(marks) if isinstance(marks, int) else ""

    def is_quoted(self, keys: Sequence[Key]) -> bool:
        marks, _ = self._walk(keys)
        return isinstance(marks, int) and self.text.is_quoted(marks)

    def _walk(self, keys: Sequence[Key]) -> tuple[Marks, int | None]:
        marks: Marks = self.marks
        key_position: int | None = None
        for key in keys:
            if isinstance(marks, dict) and key in marks:
                key_position, marks = marks[key]
            elif isinstance(marks, list) and isinstance(key, int) and 0 <= key < len(marks):
                key_position, marks = None, marks[key]
        return marks, key_position


@dataclass(frozen=True, slots=True)
class Document:
    data: Any  # dict, list, str, int, float, bool or None, and nothing else, all the way down
    places: Places


def _first(marks: Marks, default: int) -> int:
    while not isinstance(marks, int):
        if not marks:
            return default
        marks = next(iter(marks.values()))[0] if isinstance(marks, dict) else marks[0]
    return marks
