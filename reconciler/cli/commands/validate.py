"""`kubeserve validate`: checks the specs and the files that they name, not what runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.console import verbosity
from reconciler.cli.endings import ending
from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import output_option, request_options
from specs.errors import KubeServeError

if TYPE_CHECKING:
    from reconciler.desired.stages import DesiredState
    from reconciler.workspace import Request
    from specs.loading.loader import TenantSpec


@click.command()
@request_options
@output_option("text", "json")
@click.option("-w", "--watch", is_flag=True, help="Check again whenever a file changes, until interrupted.")
def command(request: Request, output: str, watch: bool) -> int:
    """Check the specs, and that the files they name exist. Changes nothing.

    Exits with 1 when there is an error.
    """
    specs = _read(request)
    _show(specs, output)
    return _watch(specs, request, output) if watch else _exit_code(specs)


def _watch(specs: DesiredState, request: Request, output: str) -> ExitCode:
    """Checks again after every change. An interrupt ends it, with the exit code of the newest check.

    That code is set before the result is shown, because whoever reads the result may interrupt at once.
    """
    code = _exit_code(specs)
    with suppress(KeyboardInterrupt):
        for _ in _changes(request):
            try:
                specs = _read(request)
            except KubeServeError as error:  # such as a platform.yaml that is saved half-way through an edit
                code = ExitCode.FAILED
                ending(error, verbosity())
            else:
                code = _exit_code(specs)
                _show(specs, output)
    return code


def _changes(request: Request) -> Iterator[object]:
    """Yields once for each burst of changes in the directories that are read."""
    with request.open() as workspace:
        folders = [each.location for each in workspace.sources if Path(each.location).is_dir()]
    if request.ref is not None or not folders:
        raise click.UsageError("--watch needs a directory: a commit never changes.")
    from watchfiles import watch

    from reconciler.cli.console import talk
    from reconciler.model.text import terminal

    talk(terminal("Watching {}.", ", ".join(folders)))
    yield from watch(*folders)


def _read(request: Request) -> DesiredState:
    from reconciler.cli.progress import working
    from reconciler.desired.stages import Stage, desired_state

    with request.open() as workspace, working():
        return desired_state(workspace, until=Stage.FOUND)


def _exit_code(specs: DesiredState) -> ExitCode:
    return ExitCode.FAILED if specs.is_broken else ExitCode.OK


def _show(specs: DesiredState, output: str) -> None:
    from reconciler.cli.console import print_json, print_text, show_problems
    from reconciler.model.text import terminal

    if output == "json":
        from reconciler.documents import validation_document

        print_json(validation_document(specs.tenants, specs.problems))
        return
    show_problems(specs.problems)
    if not specs.is_broken:
        print_text(terminal("Good: {}.", _counts(specs.tenants.values())))


def _counts(tenants: Collection[TenantSpec]) -> str:
    from reconciler.cli.console import count

    versions = sum(len(model.versions) for tenant in tenants for model in tenant.models.values())
    counts = {
        "tenant": len(tenants),
        "model": sum(len(tenant.models) for tenant in tenants),
        "version": versions,
        "deployment": sum(len(tenant.deployments) for tenant in tenants),
    }
    return ", ".join(count(number, word) for word, number in counts.items())
