"""`kubeserve status`: how deployments are, and where they answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import only_option, opened, output_option, workspace_options
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.resources import Scope
    from reconciler.status import DeploymentStatus
    from reconciler.workspace import Workspace

WATCH_SECONDS = 1.0
PHASE_STYLES = {"Ready": "green", "Degraded": "yellow", "Failed": "red", "Progressing": "cyan", "Deleting": "dim"}


@click.command()
@workspace_options
@only_option
@output_option("table", "json", "yaml")
@click.option("-w", "--watch", is_flag=True, help="Go on showing it until interrupted.")
def command(source: str, ref: str | None, platform: Path | None, only: Scope, output: str, watch: bool) -> int:
    """Show how deployments are, and where they answer."""
    with opened(source, ref, platform) as workspace:
        while True:
            statuses = _statuses(workspace, only)
            if watch and output == "table":
                click.clear()
            _print(statuses, output)
            if not watch:
                return ExitCode.OK
            time.sleep(WATCH_SECONDS)


def _statuses(workspace: Workspace, only: Scope) -> tuple[DeploymentStatus, ...]:
    from reconciler.status import deployment_statuses

    live = workspace.target.observe(only)
    return deployment_statuses(workspace.state_file.load(), live, workspace.target.url, only)


def _print(statuses: tuple[DeploymentStatus, ...], output: str) -> None:
    from reconciler.status import status_document

    match output:
        case "json":
            import orjson

            click.echo(orjson.dumps(status_document(statuses), option=orjson.OPT_INDENT_2).decode())
        case "yaml":
            import yaml

            click.echo(yaml.safe_dump(status_document(statuses), sort_keys=False), nl=False)
        case _:
            _print_table(statuses)


def _print_table(statuses: tuple[DeploymentStatus, ...]) -> None:
    from reconciler.cli.console import paint, table

    if not statuses:
        click.echo("Nothing runs here. `kubeserve apply` starts what the specs ask for.")
        return
    rows = [("DEPLOYMENT", "PHASE", "VERSION", "READY", "URL")]
    rows += [(s.id, s.phase.value, _versions(s), _ready(s), s.url or "-") for s in statuses]
    click.echo(table(rows, lambda cell, column: paint(cell, PHASE_STYLES.get(cell, "bold")) if column == 1 else cell))
    for status in statuses:
        if status.message:
            click.echo()
            click.echo(f"{status.id}: {paint(status.reason, PHASE_STYLES[status.phase.value])}: {status.message}")


def _versions(status: DeploymentStatus) -> str:
    serving = [variant for variant in status.variants if variant.weight]
    if len(serving) == 1:
        return serving[0].version
    return ", ".join(f"{variant.version} {variant.weight}%" for variant in serving) or "-"


def _ready(status: DeploymentStatus) -> str:
    return f"{sum(v.ready for v in status.variants)}/{sum(v.replicas for v in status.variants)}"
