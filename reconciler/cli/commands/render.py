"""`kubeserve render`: prints the Kubernetes manifests that apply would apply, without a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import only_option, output_option, request_options

if TYPE_CHECKING:
    from reconciler.model.resources import Desired, Scope
    from reconciler.targets.kubernetes.manifests import Manifests
    from reconciler.workspace import Request, Workspace


@click.command()
@request_options
@only_option
@output_option("yaml", "json")
@click.option("--service-monitors", is_flag=True, help="Render ServiceMonitors too, for a cluster that has them.")
@click.option("--rbac", is_flag=True, help="Instead print the RBAC rules that KubeServe itself needs in the cluster.")
def command(
    request: Request,
    only: Scope,
    output: str,
    service_monitors: bool,
    rbac: bool,
) -> int:
    """Print the Kubernetes manifests of what the specs ask for.

    Needs helm, and no cluster. Prints no Secrets. Exits with 1 when a spec has an error or something can't be rendered;
    the rest is printed anyway.
    """
    from reconciler.cli.console import show_problems
    from reconciler.cli.naming import check_scope
    from reconciler.cli.progress import working
    from reconciler.desired.stages import desired_state

    with request.open() as workspace:
        if rbac:
            from reconciler.targets.kubernetes.manifests import rbac_manifest

            _print(rbac_manifest(workspace.platform), output)
            return ExitCode.OK
        image = _image(workspace)
        with working():
            specs = desired_state(workspace, image)
            workspace.say("rendering")
            rendered = _manifests(workspace, specs.graph, only, monitors=service_monitors)
    show_problems(specs.problems)
    if not specs.is_broken:
        check_scope(only, (*specs.graph.tenants, *specs.graph.deployments))
    failed = _show_troubles(rendered)
    _print((one for each in rendered for one in each.objects), output)
    return ExitCode.FAILED if specs.is_broken or failed else ExitCode.OK


def _image(workspace: Workspace) -> str:
    from reconciler.workspace import WorkspaceError
    from specs.models.platform import TargetKind

    image = workspace.platform.runtime.image
    if workspace.platform.target is not TargetKind.KUBERNETES or image is None:
        raise WorkspaceError(
            "Nothing to render",
            f"The target is `{workspace.platform.target}`, which needs no manifests. Write `target: kubernetes`, with "
            "a store in S3 and an image, in platform.yaml, or name another one with --platform.",
        )
    return image


def _manifests(workspace: Workspace, desired: Desired, only: Scope, *, monitors: bool) -> tuple[Manifests, ...]:
    from reconciler.targets.kubernetes.manifests import RenderSettings, manifests

    settings = RenderSettings(workspace.paths.cache, workspace.paths.base, monitors)
    return manifests(workspace.platform, desired.of_tenants(only.tenants), only, settings)


def _show_troubles(rendered: Iterable[Manifests]) -> bool:
    """Answers whether there was any."""
    from reconciler.cli.console import show_error

    troubles = [(one.resource, one.trouble) for one in rendered if one.trouble is not None]
    for resource, trouble in troubles:
        show_error(trouble.summary, f"{resource}: {trouble.detail}")
    return bool(troubles)


def _print(objects: Iterable[Any], output: str) -> None:
    from reconciler.cli.console import print_json, print_yaml

    if output == "json":
        print_json({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    else:
        print_yaml(objects)
