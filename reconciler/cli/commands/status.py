"""`kubeserve status`: the state of deployments, and their URLs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import only_option, output_option, request_options

if TYPE_CHECKING:
    from reconciler.model.resources import Scope
    from reconciler.model.text import TerminalText
    from reconciler.status.statuses import DeploymentStatus
    from reconciler.workspace import Request, Workspace

WATCH_SECONDS = 1.0


@click.command()
@request_options
@only_option
@output_option("table", "json", "yaml")
@click.option("-w", "--watch", is_flag=True, help="Show it again whenever it changes, until interrupted.")
def command(request: Request, only: Scope, output: str, watch: bool) -> int:
    """Show the state of deployments, and their URLs."""
    with request.open() as workspace:
        if watch:
            return _watch(workspace, only, output)
        print_statuses(_statuses(workspace, only), output)
    return ExitCode.OK


def _watch(workspace: Workspace, only: Scope, output: str) -> int:
    from reconciler.cli.console import is_lively, print_text
    from reconciler.model.text import TerminalText

    tables = output == "table" and is_lively(sys.stdout)
    shown = TerminalText()
    try:
        with _screen() if tables else nullcontext(_print) as show:
            while True:
                text = _shown(_statuses(workspace, only), output)
                if text != shown:
                    shown = text
                    show(text)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:  # the only way to stop watching
        if tables:
            print_text(shown)
        return ExitCode.INTERRUPTED


@contextmanager
def _screen() -> Iterator[Callable[[TerminalText], None]]:
    """The terminal's alternate screen, on which each table replaces the last; the first screen returns afterwards."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        yield lambda text: live.update(Text.from_ansi(text, no_wrap=True, overflow="ellipsis"), refresh=True)


def print_statuses(statuses: tuple[DeploymentStatus, ...], output: str) -> None:
    """`output`: table, json or yaml."""
    _print(_shown(statuses, output))


def _print(text: TerminalText) -> None:
    """In UTF-8 where it goes to a program."""
    from reconciler.cli.console import print_data, print_text

    if sys.stdout.isatty():
        print_text(text)
    else:
        print_data(text)
    sys.stdout.flush()


def _statuses(workspace: Workspace, only: Scope) -> tuple[DeploymentStatus, ...]:
    from reconciler.status.statuses import deployment_statuses

    live = workspace.target.observe(only)
    return deployment_statuses(workspace.state_file.load(), live, workspace.target.url, only)


def _shown(statuses: tuple[DeploymentStatus, ...], output: str) -> TerminalText:
    from reconciler.model.text import TerminalText, json_text, yaml_text
    from reconciler.status.statuses import status_document

    match output:
        case "json":
            return TerminalText(json_text(status_document(statuses)))
        case "yaml":
            return TerminalText(yaml_text([status_document(statuses)]).rstrip())
        case _:
            return _table(statuses)


def _table(statuses: tuple[DeploymentStatus, ...]) -> TerminalText:
    from reconciler.cli.causes import by_cause, cause_of
    from reconciler.cli.console import paint, table
    from reconciler.cli.events import PHASE_STYLES
    from reconciler.model.text import terminal, terminal_lines

    if not statuses:
        return terminal("Nothing runs here. `kubeserve apply` starts what the specs ask for.")
    rows = [("DEPLOYMENT", "PHASE", "VERSION", "READY", "URL")]
    rows += [(s.id, s.phase.value, _versions(s), _ready(s), s.url or "-") for s in statuses]
    blocks = [table(rows, {1: lambda phase: paint(phase, PHASE_STYLES.get(phase, "bold"))})]
    explained = by_cause((s for s in statuses if s.message), lambda s: f"{s.phase} {cause_of(s.tenant, s.message)}")
    for sharing in explained.values():
        first = sharing[0]
        names = ", ".join(status.id for status in sharing)
        reason = paint(first.reason, PHASE_STYLES[first.phase.value])
        blocks += [terminal(""), terminal("{}: {}: {}", names, reason, first.message)]
    return terminal_lines(blocks)


def _versions(status: DeploymentStatus) -> str:
    serving = [variant for variant in status.variants if variant.weight]
    if len(serving) == 1:
        return serving[0].version
    return ", ".join(f"{variant.version} {variant.weight}%" for variant in serving) or "-"


def _ready(status: DeploymentStatus) -> str:
    return f"{sum(v.ready for v in status.variants)}/{sum(v.replicas for v in status.variants)}"
