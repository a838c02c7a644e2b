"""`kubeserve validate`: checks the specs and the files that they name, not what runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.console import verbosity
from reconciler.cli.endings import ending
from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import opened, output_option, workspace_options
from specs.errors import KubeServeError

if TYPE_CHECKING:
    from reconciler.desired.sources import Read
    from specs.problems import Problem


@click.command()
@workspace_options
@output_option("text", "json")
@click.option("-w", "--watch", is_flag=True, help="Check again whenever a file changes, until interrupted.")
def command(source: str | None, ref: str | None, platform: Path | None, output: str, watch: bool) -> int:
    """Check the specs, and that the files they name exist. Changes nothing.

    Exits with 1 when there is an error.
    """
    read = _read(source, ref, platform)
    _show(read, output)
    return _watch(read, source, ref, platform, output) if watch else _exit_code(read)


def _watch(read: Read, source: str | None, ref: str | None, platform: Path | None, output: str) -> ExitCode:
    """Checks again after every change. An interrupt ends it, with the exit code of the newest check.

    That code is set before the result is shown, because whoever reads the result may interrupt at once.
    """
    code = _exit_code(read)
    with suppress(KeyboardInterrupt):
        for _ in _changes(source, ref, platform):
            try:
                read = _read(source, ref, platform)
            except KubeServeError as error:  # such as a platform.yaml that is saved half-way through an edit
                code = ExitCode.FAILED
                ending(error, verbosity())
            else:
                code = _exit_code(read)
                _show(read, output)
    return code


def _changes(source: str | None, ref: str | None, platform: Path | None) -> Iterator[object]:
    """Yields once for each burst of changes in the directories that are read."""
    with opened(source, ref, platform) as workspace:
        folders = [each.location for each in workspace.sources if Path(each.location).is_dir()]
    if ref is not None or not folders:
        raise click.UsageError("--watch needs a directory: a commit never changes.")
    from watchfiles import watch

    from reconciler.cli.console import talk
    from reconciler.model.text import terminal

    talk(terminal("Watching {}.", ", ".join(folders)))
    yield from watch(*folders)


def _read(source: str | None, ref: str | None, platform: Path | None) -> Read:
    from reconciler.cli.progress import working
    from reconciler.desired.sources import read_sources

    with opened(source, ref, platform) as workspace, working() as say:
        say("reading specs")
        return read_sources(workspace)


def _exit_code(read: Read) -> ExitCode:
    return ExitCode.FAILED if any(problem.severity == "error" for problem in read.problems) else ExitCode.OK


def _show(read: Read, output: str) -> None:
    from reconciler.cli.console import print_text, show_problems
    from reconciler.model.text import terminal

    if output == "json":
        _print_json(read, read.problems)
        return
    show_problems(read.problems)
    if _exit_code(read) is ExitCode.OK:
        print_text(terminal("Good: {}.", _counts(read)))


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
    from reconciler.cli.console import print_json

    document: dict[str, Any] = {
        "tenants": sorted(read.loaded.tenants),
        "problems": [
            {
                "severity": problem.severity,
                "code": problem.code,
                "file": problem.place.file if problem.place else None,
                "line": (problem.place.line or None) if problem.place else None,
                "column": (problem.place.column or None) if problem.place else None,
                "summary": problem.summary,
                "detail": problem.detail,
            }
            for problem in problems
        ],
    }
    print_json(document)
