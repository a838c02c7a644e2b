"""`kubeserve validate`: the specs and the files that they name, without looking at what runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import opened, output_option, workspace_options
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.reading import Read
    from specs.problems import Problem


@click.command()
@workspace_options
@output_option("text", "json")
def command(source: str | None, ref: str | None, platform: Path | None, output: str) -> int:
    """Check the specs and that the files they name are there. Changes nothing.

    Exits with 1 when there is an error.
    """
    from reconciler.cli.console import show_problems
    from reconciler.cli.progress import working
    from reconciler.reading import read_sources

    with opened(source, ref, platform) as workspace, working() as say:
        say("reading specs")
        read = read_sources(workspace)
    broken = any(problem.severity == "error" for problem in read.problems)
    if output == "json":
        _print_json(read, read.problems)
    else:
        show_problems(read.problems)
        if not broken:
            click.echo(f"Good: {_counts(read)}.")
    return ExitCode.FAILED if broken else ExitCode.OK


def _counts(read: Read) -> str:
    from reconciler.cli.console import count

    tenants = read.loaded.tenants.values()
    versions = sum(len(model.versions) for tenant in tenants for model in tenant.models.values())
    counts = {
        "tenant": len(tenants),
        "model": sum(len(tenant.models) for tenant in tenants),
        "version": versions,
        "deployment": sum(len(tenant.deployments) for tenant in tenants),
    }
    return ", ".join(count(number, word) for word, number in counts.items())


def _print_json(read: Read, problems: tuple[Problem, ...]) -> None:
    import orjson

    document: dict[str, Any] = {
        "tenants": sorted(read.loaded.tenants),
        "problems": [
            {
                "severity": problem.severity,
                "code": problem.code,
                "file": problem.place.file if problem.place else None,
                "line": problem.place.line if problem.place else None,
                "column": problem.place.column if problem.place else None,
                "summary": problem.summary,
                "detail": problem.detail,
            }
            for problem in problems
        ],
    }
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
