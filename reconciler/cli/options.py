"""The arguments and options that several commands share, and what they open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from reconciler.model.resources import Scope
    from reconciler.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def workspace_options(command: F) -> F:
    """PATH_OR_URL, --ref and --platform: which specs, and whose platform; --target and what finds a cluster."""
    for decorate in (
        _kept("--context", help="The kubeconfig's context; without it the platform's, or the current one."),
        _kept(
            "--kubeconfig",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="How to reach the cluster; without it KUBECONFIG, or ~/.kube/config, or the pod's own.",
        ),
        _kept(
            "--target", type=click.Choice(("local", "kubernetes")), help="Where to deploy, whatever the platform says."
        ),
        click.option(
            "--platform",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="The operator's platform.yaml; without it the one in the directory, or the embedded default.",
        ),
        click.option("--ref", help="A branch, tag or commit; reads the repository at it, not the working tree."),
        click.argument("source", metavar="[PATH_OR_URL]", required=False),
    ):
        command = decorate(command)
    return command


def _kept(name: str, **options: Any) -> Callable[[F], F]:
    """An option that no command takes itself: `opened` finds it."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        ctx.meta[f"{__name__}.{parameter.name}"] = value

    return click.option(name, callback=keep, expose_value=False, **options)


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


def lock_option(command: F) -> F:
    return click.option(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help="Wait so long for another round to end.",
    )(command)


@contextmanager
def opened(source: str | None, ref: str | None, platform: Path | None) -> Iterator[Workspace]:
    """The workspace that these options name; closed at the end."""
    from reconciler.cli.progress import doing
    from reconciler.workspace import Request, open_workspace
    from specs.models.platform import TargetKind

    kept = {
        name: click.get_current_context().meta.get(f"{__name__}.{name}") for name in ("target", "kubeconfig", "context")
    }
    target = TargetKind(kept["target"]) if kept["target"] else None
    request = Request(source, ref, platform, doing, target, kept["kubeconfig"], kept["context"])
    with open_workspace(request) as workspace:
        yield workspace


def _parse_scope(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Scope:
    from reconciler.model.resources import Scope

    if value is None:
        return Scope()
    tenant, slash, deployment = value.partition("/")
    if not tenant or (slash and not deployment) or "/" in deployment:
        raise click.BadParameter(f"{value!r} is not TENANT or TENANT/DEPLOYMENT.", ctx, parameter)
    return Scope(tenant, deployment or None)
