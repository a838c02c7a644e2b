"""Runs checks in parallel, each with a time limit; an error of one check stops no other.

Called by `kubeserve doctor`; `checks.py` says which checks there are.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable, Sequence

from reconciler.doctor.findings import Checked, DoctorCheck, Finding, FindingSeverity, Report, problem
from specs.errors import KubeServeError
from specs.untrusted import Untrusted


def run_checks(checks: Sequence[DoctorCheck]) -> Report:
    """Findings in the order of the checks. Skips checks whose `needs` found a problem or was skipped itself."""
    found: dict[str, tuple[Finding, ...]] = {}
    waiting = list(checks)
    while ready := [check for check in waiting if not check.needs or _is_good(found.get(check.needs))]:
        running = [_Running(check) for check in ready]
        found |= {one.check.name: one.findings() for one in running}
        waiting = [check for check in waiting if check.name not in found]
    reported = tuple(Checked(check.name, finding) for check in checks for finding in found.get(check.name, ()))
    return Report(reported, tuple(check.name for check in waiting))


def _is_good(findings: Iterable[Finding] | None) -> bool:
    return findings is not None and all(finding.severity is not FindingSeverity.PROBLEM for finding in findings)


class _Running:
    """A check in a thread, which is abandoned at its time limit because nothing can interrupt it."""

    def __init__(self, check: DoctorCheck) -> None:
        self.check = check
        self._found: list[Finding] = []
        self._deadline = time.monotonic() + check.seconds
        self._thread = threading.Thread(target=self._run, name=f"check {check.name}", daemon=True)
        self._thread.start()

    def findings(self) -> tuple[Finding, ...]:
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._thread.is_alive():
            late = f"There was no answer within {self.check.seconds:g} s."
            return (problem(f"No answer in time: {self.check.name}", late, "See that it answers, or try again."),)
        return tuple(self._found)

    def _run(self) -> None:
        try:
            for finding in self.check.look():
                self._found.append(finding)
        except KubeServeError as error:
            self._found.append(problem(error.summary, error.detail))
        except (OSError, subprocess.SubprocessError) as error:
            self._found.append(problem(f"Can't be checked: {self.check.name}", f"{Untrusted(str(error))}."))
        except Exception as error:  # a bug in one check must not hide the findings of the others
            text = f"{type(error).__name__}: {Untrusted(str(error))}"
            bug = problem(f"The check itself failed: {self.check.name}", text, "This is a bug; please report it.")
            self._found.append(bug)
