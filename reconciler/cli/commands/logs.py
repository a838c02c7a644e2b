"""`kubeserve logs`: what a deployment's model server writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import deployment_argument, opened, workspace_options
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.resources import ResourceId
    from reconciler.workspace import Workspace


@click.command()
@click.argument("deployment", metavar="[TENANT/]DEPLOYMENT")
@workspace_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until interrupted.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="So many last lines.")
@click.option("--failed", is_flag=True, help="The log of the last start that failed.")
@click.option("--variant", help="This variant or version; without it, every one that runs.")
def command(
    deployment: str,
    source: str,
    ref: str | None,
    platform: Path | None,
    follow: bool,
    lines: int,
    failed: bool,
    variant: str | None,
) -> int:
    """Show what a deployment's model server writes."""
    from reconciler.resources import deployment_id

    with opened(source, ref, platform) as workspace:
        name = deployment_id(*deployment_argument(workspace, deployment))
        if failed:
            for line in workspace.target.failed_logs(name, lines=lines):
                click.echo(line)
            return ExitCode.OK
        chosen = _variants(workspace, name, variant)
        for each in chosen:
            if len(chosen) > 1:
                click.echo(f"==> {each.name} <==", err=True)
            for line in workspace.target.logs(each, lines=lines, follow=follow and each == chosen[-1], failed=False):
                click.echo(line)
    return ExitCode.OK


def _variants(workspace: Workspace, deployment: ResourceId, wanted: str | None) -> list[ResourceId]:
    from reconciler.resources import Scope
    from specs.names import listing

    live = workspace.target.observe(Scope(deployment.tenant))
    found = [r for r in live.resources.values() if r.deployment == deployment]
    chosen = [r.id for r in found if wanted in (None, r.id.name, r.fields.get("version"))]
    if not chosen:
        known = listing(f"{r.id.name} (version {r.fields.get('version')})" for r in found)
        what = f"{wanted!r} of " if wanted else ""
        raise click.UsageError(f"Nothing of {what}{deployment.name} runs; there is {known}. See `kubeserve status`.")
    return chosen
