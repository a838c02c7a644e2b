"""`kubeserve doctor`: checks everything that KubeServe needs, and says how to fix what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import output_option, request_options

if TYPE_CHECKING:
    from reconciler.doctor.findings import Report
    from reconciler.workspace import Request

STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}
WIDTH = 9  # of the column of severities


@click.command()
@request_options
@output_option("text", "json")
def command(request: Request, output: str) -> int:
    """Check this machine, the store, the state and the target, and say how to fix each problem.

    Writes and deletes one empty object in the store's bucket, and changes nothing else. Exits with 1 when there is a
    problem.
    """
    from reconciler.cli.console import print_json
    from reconciler.cli.progress import doing, working
    from reconciler.doctor.findings import FindingSeverity

    with working():
        doing("looking at this machine, the store and the target")
        report = _report(request)
    if output == "json":
        print_json(report_document(report))
    else:
        print_text_report(report)
    return ExitCode.FAILED if report.count(FindingSeverity.PROBLEM) else ExitCode.OK


def _report(request: Request) -> Report:
    """What can be checked without a platform is checked even where its file can't be used."""
    from reconciler.doctor.checks import all_checks, machine_checks
    from reconciler.doctor.findings import Checked, Report, problem
    from reconciler.doctor.run import run_checks
    from specs.errors import KubeServeError

    try:
        with request.open() as workspace:
            return run_checks(all_checks(workspace))
    except KubeServeError as error:
        found = run_checks(machine_checks(Path.cwd())).found
        return Report((*found, Checked("platform", problem(error.summary, error.detail))))


def print_text_report(report: Report) -> None:
    from reconciler.cli.console import count, fold_on, paint, print_text, talk
    from reconciler.doctor.findings import FindingSeverity
    from reconciler.model.text import terminal, terminal_block, terminal_lines

    for checked in report.found:
        finding = checked.finding
        severity = finding.severity.value
        padding = " " * (WIDTH - len(severity))
        lines = [terminal("{}{}{}", paint(severity, STYLES[severity]), padding, finding.summary)]
        lines += [terminal_block(text, " " * WIDTH) for text in (finding.meaning, finding.remedy) if text]
        print_text(fold_on(sys.stdout, terminal_lines(lines)))
    talk()
    problems, warnings = report.count(FindingSeverity.PROBLEM), report.count(FindingSeverity.WARNING)
    skipped = f" Not checked because of a problem above: {', '.join(report.skipped)}." if report.skipped else ""
    talk(terminal("{}, {}.{}", count(problems, "problem"), count(warnings, "warning"), skipped))


def report_document(report: Report) -> dict[str, Any]:
    """The JSON form of a report."""
    from reconciler.doctor.findings import FindingSeverity

    return {
        "problems": report.count(FindingSeverity.PROBLEM),
        "warnings": report.count(FindingSeverity.WARNING),
        "skipped": list(report.skipped),
        "findings": [
            {
                "check": checked.check,
                "severity": checked.finding.severity.value,
                "summary": checked.finding.summary,
                "meaning": checked.finding.meaning,
                "remedy": checked.finding.remedy,
            }
            for checked in report.found
        ],
    }
