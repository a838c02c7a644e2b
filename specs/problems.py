"""Problems of specs, their places, and how they are shown: `path:line:column: error: Summary`.

The loader creates problems, later stages add theirs at a place of the spec, and every command renders them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from specs.errors import KubeServeError
from specs.untrusted import visible


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; lines and columns count from 1, columns in characters. Line 0: the file as a whole."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        file = visible(self.file)
        return f"{file}:{self.line}:{self.column}" if self.line else file


@dataclass(frozen=True, slots=True)
class Problem:
    severity: Severity
    code: str  # kebab-case, for machines
    place: Place | None
    summary: str
    detail: str = ""
    excerpt: str = ""  # the offending line, clipped and with its secrets hidden
    caret: int = 0  # the offset in the excerpt to point at

    def render(self, paint: Callable[[str], str] = str) -> str:
        """The problem as text of several lines, without a newline at its end. `paint` colours `error:`."""
        head = f"{self.place}: " if self.place else ""
        lines = [f"{head}{paint(f'{self.severity}:')} {visible(self.summary)}"]
        lines += [f"  {visible(line)}" for line in self.detail.split("\n") if line]
        if self.place and self.excerpt:
            gutter = f"{self.place.line:>6} | "
            lines.append(f"{gutter}{visible(self.excerpt)}")
            lines.append(f"{'| ':>{len(gutter)}}{' ' * self.caret}^")
        return "\n".join(lines)


class SpecErrors(KubeServeError):  # noqa: N818 - several of them
    """Problems of which at least one is an error, shown together."""

    code = "spec"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = sum(problem.severity is Severity.ERROR for problem in self.problems)
        summary = "1 error in the specs" if count == 1 else f"{count} errors in the specs"
        super().__init__(summary, "\n".join(problem.render() for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecErrors], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class Refusal(ValueError):  # noqa: N818 - pydantic needs a ValueError; it is shown as a Problem, never raised to users
    """Why one value is refused, raised where its place in the file isn't known yet.

    `at` is the path of keys from the validated value to the part that is at fault.
    """

    def __init__(self, code: str, summary: str, detail: str, at: tuple[str | int, ...] = ()) -> None:
        super().__init__(f"{summary}: {detail}")
        self.code = code
        self.summary = summary
        self.detail = detail
        self.at = at
