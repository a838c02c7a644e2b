"""The findings of checks: the state, what it means, and what to do. Shown by `kubeserve doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

CHECK_SECONDS = 20.0


class FindingSeverity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    severity: FindingSeverity
    summary: str
    meaning: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One check with a time limit of its own. `needs`: the check that has to succeed before this one is useful."""

    name: str
    look: Callable[[], Iterable[Finding]]
    needs: str = ""
    seconds: float = CHECK_SECONDS


@dataclass(frozen=True, slots=True)
class Checked:
    """A finding, and the check that found it."""

    check: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Report:
    """`skipped`: the checks that did not run because a check that they need found a problem."""

    found: tuple[Checked, ...]
    skipped: tuple[str, ...] = ()

    def count(self, severity: FindingSeverity) -> int:
        return sum(checked.finding.severity is severity for checked in self.found)


def ok(summary: str) -> Finding:
    return Finding(FindingSeverity.OK, summary)


def warning(summary: str, meaning: str, remedy: str) -> Finding:
    return Finding(FindingSeverity.WARNING, summary, meaning, remedy)


def problem(summary: str, meaning: str, remedy: str = "") -> Finding:
    return Finding(FindingSeverity.PROBLEM, summary, meaning, remedy)
