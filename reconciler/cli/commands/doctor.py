"""`kubeserve doctor`: whether everything is there that KubeServe needs, and what to do where it isn't."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import opened, output_option, workspace_options

if TYPE_CHECKING:
    from reconciler.doctor.findings import Report

STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}
WIDTH = 9  # of the column of severities


@click.command()
@workspace_options
@output_option("text", "json")
def command(source: str | None, ref: str | None, platform: Path | None, output: str) -> int:
    """Check this machine, the store, the state and the target, and say what to do.

    Writes and deletes one empty object in a bucket, and changes nothing else. Exits with 1 when there is a problem.
    """
    from reconciler.cli.progress import working
    from reconciler.doctor.findings import Severity

    with working() as say:
        say("looking at this machine, the store and the target")
        report = _report(source, ref, platform)
    if output == "json":
        _print_json(report)
    else:
        _print_text(report)
    return ExitCode.FAILED if report.count(Severity.PROBLEM) else ExitCode.OK


def _report(source: str | None, ref: str | None, platform: Path | None) -> Report:
    """What can be checked without a platform is checked even where its file can't be used."""
    from reconciler.doctor.checks import all_checks, machine_checks
    from reconciler.doctor.findings import Checked, Report, problem
    from reconciler.doctor.run import run_checks
    from specs.errors import KubeServeError

    try:
        with opened(source, ref, platform) as workspace:
            return run_checks(all_checks(workspace))
    except KubeServeError as error:
        found = run_checks(machine_checks(Path.cwd())).found
        return Report((*found, Checked("platform", problem(error.summary, error.detail))))


def _print_text(report: Report) -> None:
    from textwrap import indent

    from reconciler.cli.console import count, paint, talk
    from reconciler.doctor.findings import Severity

    for checked in report.found:
        finding = checked.finding
        severity = finding.severity.value
        click.echo(f"{paint(severity, STYLES[severity])}{' ' * (WIDTH - len(severity))}{finding.summary}")
        for text in filter(None, (finding.meaning, finding.remedy)):
            click.echo(indent(text, " " * WIDTH))
    talk()
    problems, warnings = report.count(Severity.PROBLEM), report.count(Severity.WARNING)
    skipped = f" Not checked, as something else comes first: {', '.join(report.skipped)}." if report.skipped else ""
    talk(f"{count(problems, 'problem')}, {count(warnings, 'warning')}.{skipped}")


def _print_json(report: Report) -> None:
    import orjson

    from reconciler.doctor.findings import Severity

    document = {
        "problems": report.count(Severity.PROBLEM),
        "warnings": report.count(Severity.WARNING),
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
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
