"""The arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from reconciler.model.resources import Scope

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")


def request_options(command: Callable[..., R]) -> Callable[..., R]:
    """PATH_OR_URL, --ref, --platform, --target and what finds a cluster; the command gets them as its `request`."""

    @wraps(command)
    def with_request(
        *,
        source: str | None,
        ref: str | None,
        platform: Path | None,
        target: str | None,
        kubeconfig: Path | None,
        context: str | None,
        **rest: Any,
    ) -> R:
        from reconciler.cli.progress import doing
        from reconciler.workspace import Request
        from specs.models.platform import TargetKind

        named = TargetKind(target) if target else None
        return command(request=Request(source, ref, platform, doing, named, kubeconfig, context), **rest)

    decorated: Callable[..., R] = with_request
    for decorate in (
        click.option("--context", help="The kubeconfig's context; by default the platform's, or the current one."),
        click.option(
            "--kubeconfig",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="How to reach the cluster; by default KUBECONFIG, or ~/.kube/config, or the pod's own.",
        ),
        click.option(
            "--target", type=click.Choice(("local", "kubernetes")), help="Where to deploy; overrides the platform."
        ),
        click.option(
            "--platform",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="The operator's platform.yaml; by default the one in the directory, or the embedded one.",
        ),
        click.option("--ref", help="A branch, tag or commit; reads the repository at it, not the working tree."),
        click.argument("source", metavar="[PATH_OR_URL]", required=False),
    ):
        decorated = decorate(decorated)
    return decorated


def only_option(command: F) -> F:
    return click.option(
        "--only",
        metavar="TENANT[/DEPLOYMENT]",
        multiple=True,
        callback=_parse_scope,
        help="Narrow the command; nothing outside is changed or removed. May be given several times.",
    )(command)


def output_option(*choices: str) -> Callable[[F], F]:
    return click.option(
        "-o", "--output", type=click.Choice(choices), default=choices[0], show_default=True, help="The output's format."
    )


def deletion_options(command: F) -> F:
    command = click.option(
        "--prune-unclaimed",
        is_flag=True,
        help="Also remove what is ours but not in the state file.",
    )(command)
    return click.option("--allow-deletions", is_flag=True, help="Allow more deletions than the guards do.")(command)


def lock_option(command: F) -> F:
    return click.option(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help="Seconds to wait for a running round.",
    )(command)


def _parse_scope(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> Scope:
    from reconciler.model.resources import Scope

    try:
        return Scope.of(*value)
    except ValueError as error:
        raise click.BadParameter(f"{str(error)!r} is not TENANT or TENANT/DEPLOYMENT.", ctx, parameter) from None
