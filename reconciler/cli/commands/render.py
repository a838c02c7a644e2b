"""`kubeserve render`: prints the Kubernetes manifests that apply would apply, without a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import only_option, output_option, request_options

if TYPE_CHECKING:
    from reconciler.model.resources import Desired, ResourceId, Scope
    from reconciler.targets.kubernetes.planning.prepare import PreparedObjects
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
            from reconciler.targets.kubernetes.tenancy.permissions import manifest

            _print(manifest(workspace.platform), output)
            return ExitCode.OK
        image = _image(workspace)
        with working():
            specs = desired_state(workspace, image)
            workspace.say("rendering")
            prepared = _prepared(workspace, specs.graph.of_tenants(only.tenants), monitors=service_monitors)
    show_problems(specs.problems)
    chosen = _in_order(specs.graph, only)
    if not specs.is_broken:
        check_scope(only, (*specs.graph.tenants, *specs.graph.deployments))
    failed = _show_errors(chosen, prepared)
    _print((one for resource in chosen for one in _objects(prepared, resource)), output)
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


def _prepared(workspace: Workspace, desired: Desired, *, monitors: bool) -> PreparedObjects:
    """As for a cluster in which nothing is there yet but what the operator has made."""
    from reconciler.targets.kubernetes.planning.observe import Snapshot
    from reconciler.targets.kubernetes.planning.prepare import prepare
    from reconciler.targets.kubernetes.rendering import Renderer
    from reconciler.targets.kubernetes.tenancy.permissions import operator_secrets
    from reconciler.targets.kubernetes.tenancy.preconditions import Surroundings
    from reconciler.targets.protocol import Live

    platform = workspace.platform
    rendered = Renderer(platform, workspace.paths.cache, base=workspace.paths.base).render(desired, monitors=monitors)
    secrets = {f"{secret.namespace}/{secret.name}": "" for secret in operator_secrets(platform)}
    return prepare(desired, Live.of((), Snapshot({})), rendered, platform, Surroundings(lambda *_: True, {}, secrets))


def _in_order(desired: Desired, only: Scope) -> list[ResourceId]:
    """Tenants, then of each deployment its variants and its route, as they are applied."""
    found = sorted(tenant for tenant in desired.tenants if tenant in only)
    for deployment in sorted(desired.deployments):
        if deployment in only:
            found += [variant.id for variant in desired.variants_of[deployment]]
            found.append(deployment)
    return found


def _show_errors(chosen: Iterable[ResourceId], prepared: PreparedObjects) -> bool:
    from reconciler.cli.console import show_error

    failed = False
    for resource in chosen:
        if (trouble := prepared.resources[resource].trouble) is not None:
            show_error(trouble.summary, f"{resource}: {trouble.detail}")
            failed = True
    return failed


def _objects(prepared: PreparedObjects, resource: ResourceId) -> Iterator[Any]:
    yield from () if prepared.resources[resource].trouble else prepared.payloads[resource].objects


def _print(objects: Iterable[Any], output: str) -> None:
    from reconciler.cli.console import print_json, print_yaml

    if output == "json":
        print_json({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    else:
        print_yaml(objects)
