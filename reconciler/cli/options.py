"""The arguments and options that several commands share, and what they open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from reconciler.resources import Scope
    from reconciler.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def workspace_options(command: F) -> F:
    """PATH_OR_URL, --ref and --platform: which specs, and whose platform."""
    for decorate in (
        click.option(
            "--platform",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="The operator's platform.yaml; without it the one in the directory, or the embedded default.",
        ),
        click.option("--ref", help="A branch, tag or commit; reads the repository at it, not the working tree."),
        click.argument("source", metavar="[PATH_OR_URL]", default="."),
    ):
        command = decorate(command)
    return command


def only_option(command: F) -> F:
    return click.option(
        "--only",
        metavar="TENANT[/DEPLOYMENT]",
        callback=_parse_scope,
        help="Narrow the command; what lies outside is neither changed nor removed.",
    )(command)


def output_option(*choices: str) -> Callable[[F], F]:
    return click.option(
        "-o", "--output", type=click.Choice(choices), default=choices[0], show_default=True, help="The output's format."
    )


def deletion_options(command: F) -> F:
    command = click.option(
        "--prune-unclaimed", is_flag=True, help="Also remove what carries our mark and no state file knows."
    )(command)
    return click.option("--allow-deletions", is_flag=True, help="Allow deletions beyond the guards' budget.")(command)


@contextmanager
def opened(source: str, ref: str | None, platform: Path | None) -> Iterator[Workspace]:
    """The workspace that these options name; closed at the end."""
    from reconciler.workspace import Request, open_workspace

    with open_workspace(Request(source, ref, platform)) as workspace:
        yield workspace


def deployment_argument(workspace: Workspace, name: str) -> tuple[str, str]:
    """TENANT/DEPLOYMENT as typed, or DEPLOYMENT alone where only one tenant has it. UsageError with the choices."""
    from reconciler.resources import Kind, Scope
    from specs.names import did_you_mean, listing

    live = workspace.target.observe(Scope())
    recorded = workspace.state_file.load().resources
    known = sorted({(r.tenant, r.name) for r in (*live.resources, *recorded) if r.kind is Kind.DEPLOYMENT})
    tenant, _, deployment = name.rpartition("/")
    matches = [pair for pair in known if pair[1] == deployment and tenant in ("", pair[0])]
    if len(matches) == 1:
        return matches[0]
    names = [f"{t}/{d}" for t, d in known]
    if matches:
        several = listing(f"{t}/{d}" for t, d in matches)
        raise click.UsageError(
            f"Several tenants have a deployment {deployment!r}: {several}. Name one as TENANT/DEPLOYMENT."
        )
    hint = did_you_mean(name, names if tenant else [d for _, d in known])
    raise click.UsageError(f"No deployment {name!r} here; there is {listing(names)}.{hint}")


def _parse_scope(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Scope:
    from reconciler.resources import Scope

    if value is None:
        return Scope()
    tenant, slash, deployment = value.partition("/")
    if not tenant or (slash and not deployment) or "/" in deployment:
        raise click.BadParameter(f"{value!r} is not TENANT or TENANT/DEPLOYMENT.", ctx, parameter)
    return Scope(tenant, deployment or None)
