"""`kubeserve status`: how deployments are, and where they answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import only_option, opened, output_option, workspace_options

if TYPE_CHECKING:
    from reconciler.model.resources import Scope
    from reconciler.status.statuses import DeploymentStatus
    from reconciler.workspace import Workspace

WATCH_SECONDS = 1.0


@click.command()
@workspace_options
@only_option
@output_option("table", "json", "yaml")
@click.option("-w", "--watch", is_flag=True, help="Go on showing it, whenever it has changed, until interrupted.")
def command(source: str | None, ref: str | None, platform: Path | None, only: Scope, output: str, watch: bool) -> int:
    """Show how deployments are, and where they answer."""
    with opened(source, ref, platform) as workspace:
        if watch:
            return _watch(workspace, only, output)
        _print(_shown(_statuses(workspace, only), output))
    return ExitCode.OK


def _watch(workspace: Workspace, only: Scope, output: str) -> int:
    from reconciler.cli.console import is_lively

    tables = output == "table" and is_lively(sys.stdout)
    shown = ""
    try:
        with _screen() if tables else nullcontext(_print) as show:
            while True:
                text = _shown(_statuses(workspace, only), output)
                if text != shown:
                    shown = text
                    show(text)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:  # the only way to end it
        if tables:
            click.echo(shown)
        return ExitCode.INTERRUPTED


@contextmanager
def _screen() -> Iterator[Callable[[str], None]]:
    """A terminal's other screen, on which each table takes the place of the last; what was there before comes back."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        yield lambda text: live.update(Text.from_ansi(text, no_wrap=True, overflow="ellipsis"), refresh=True)


def _print(text: str) -> None:
    """In UTF-8 where it goes to a program."""
    click.echo(text if sys.stdout.isatty() else text.encode())
    sys.stdout.flush()


def _statuses(workspace: Workspace, only: Scope) -> tuple[DeploymentStatus, ...]:
    from reconciler.status.statuses import deployment_statuses

    live = workspace.target.observe(only)
    return deployment_statuses(workspace.state_file.load(), live, workspace.target.url, only)


def _shown(statuses: tuple[DeploymentStatus, ...], output: str) -> str:
    from reconciler.status.statuses import status_document

    match output:
        case "json":
            import orjson

            return orjson.dumps(status_document(statuses), option=orjson.OPT_INDENT_2).decode()
        case "yaml":
            import yaml

            return yaml.safe_dump(status_document(statuses), sort_keys=False, explicit_start=True).rstrip()
        case _:
            return _table(statuses)


def _table(statuses: tuple[DeploymentStatus, ...]) -> str:
    from reconciler.cli.console import paint, table
    from reconciler.cli.progress import PHASE_STYLES

    if not statuses:
        return "Nothing runs here. `kubeserve apply` starts what the specs ask for."
    rows = [("DEPLOYMENT", "PHASE", "VERSION", "READY", "URL")]
    rows += [(s.id, s.phase.value, _versions(s), _ready(s), s.url or "-") for s in statuses]
    text = table(rows, lambda cell, column: paint(cell, PHASE_STYLES.get(cell, "bold")) if column == 1 else cell)
    for status in statuses:
        if status.message:
            text += f"\n\n{status.id}: {paint(status.reason, PHASE_STYLES[status.phase.value])}: {status.message}"
    return text


def _versions(status: DeploymentStatus) -> str:
    serving = [variant for variant in status.variants if variant.weight]
    if len(serving) == 1:
        return serving[0].version
    return ", ".join(f"{variant.version} {variant.weight}%" for variant in serving) or "-"


def _ready(status: DeploymentStatus) -> str:
    return f"{sum(v.ready for v in status.variants)}/{sum(v.replicas for v in status.variants)}"
