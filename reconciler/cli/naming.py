"""Which deployments a user means by a name or by --only."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from reconciler.model.resources import Kind, ResourceId, Scope
from specs.errors import KubeServeError
from specs.names import did_you_mean, listing, quoted

if TYPE_CHECKING:
    from reconciler.workspace import Workspace


class NamingError(KubeServeError):
    """A name that no deployment has, or several."""

    code = "naming"


def find_deployment(workspace: Workspace, name: str) -> ResourceId:
    """TENANT/DEPLOYMENT as typed, or DEPLOYMENT alone where only one tenant has it. NamingError with the choices.

    What the state file doesn't know is looked for among what runs.
    """
    known = _deployments(workspace.state_file.load().resources)
    if not _matches(name, known):
        known |= workspace.target.observe(Scope()).routes.keys()
    matches = _matches(name, known)
    if len(matches) == 1:
        return matches[0]
    raise _several(name, matches) if matches else _unknown(name, known)


def check_scope(scope: Scope, known: Iterable[ResourceId]) -> None:
    """NamingError when --only names a tenant or deployment that is not among `known`."""
    ids = set(known)
    tenants = {resource.tenant for resource in ids}
    for chosen in sorted(scope.chosen):
        if chosen.kind is Kind.DEPLOYMENT:
            if chosen not in ids:
                names = sorted(f"{r.tenant}/{r.name}" for r in ids if r.kind is Kind.DEPLOYMENT)
                raise _nothing(f"{chosen.tenant}/{chosen.name}", names)
        elif chosen.tenant not in tenants:
            raise _nothing(chosen.tenant, sorted(tenants))


def _nothing(name: str, known: list[str]) -> NamingError:
    return NamingError("Nothing has this name", f"--only {name}: there is {listing(known)}.{did_you_mean(name, known)}")


def _deployments(resources: Iterable[ResourceId]) -> set[ResourceId]:
    return {resource for resource in resources if resource.kind is Kind.DEPLOYMENT}


def _matches(name: str, known: Collection[ResourceId]) -> list[ResourceId]:
    tenant, _, deployment = name.rpartition("/")
    return sorted(d for d in known if d.name == deployment and tenant in ("", d.tenant))


def _several(name: str, matches: Collection[ResourceId]) -> NamingError:
    choices = listing(f"{d.tenant}/{d.name}" for d in matches)
    return NamingError(
        "Several deployments have this name", f"{quoted(name)} may be {choices}. Name one as TENANT/DEPLOYMENT."
    )


def _unknown(name: str, known: Collection[ResourceId]) -> NamingError:
    if not known:
        return NamingError(
            "No such deployment",
            f"Nothing was deployed here yet, so no {quoted(name)} either: `kubeserve apply` does it.",
        )
    names = sorted(f"{d.tenant}/{d.name}" for d in known)
    hint = did_you_mean(name, names if "/" in name else [d.name for d in known])
    return NamingError("No such deployment", f"There is no {quoted(name)} here, but {listing(names)}.{hint}")
