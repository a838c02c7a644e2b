"""Desired and live in, what `ensure` and `route` would do out: differences in the words of the spec, and errors.

Called once a round for the whole batch. Compares; what it has to ask of this machine (are secrets there, can the
gateway listen, is what serves installed) it asks without changing anything.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.described import variant_fields
from reconciler.model.resources import Desired, DesiredDeployment, DesiredTenant, DesiredVariant, ResourceId
from reconciler.targets.local.environment import secret_errors
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.marks import RunDir
from reconciler.targets.local.observe import GATEWAY_FIELD, URL_FIELD
from reconciler.targets.protocol import FieldChange, Live, LiveResource, Prepared, PreparedResource, TargetError

REQUIRED_MODULES = ("aiohttp", "numpy", "orjson", "prometheus_client", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True)
class Preparer:
    run_dir: RunDir
    installation: str
    secrets_dir: Path
    gateway: GatewayProcess

    def prepare(self, desired: Desired, live: Live) -> Prepared:
        lacking = missing_extra()
        gateway = lacking or (self.gateway.trouble() if desired.deployments else None)
        found = [self._tenant(tenant) for tenant in desired.tenants.values()]
        found += [self._variant(variant, live, lacking) for variant in desired.variants.values()]
        found += [self._deployment(deployment, desired, live, gateway) for deployment in desired.deployments.values()]
        return Prepared({resource.id: resource for resource in found})

    def _tenant(self, tenant: DesiredTenant) -> PreparedResource:
        mark = self.run_dir.tenant(tenant.id.tenant)
        error = None
        if mark is not None and mark.installation != self.installation:
            error = TargetError(
                "Tenant belongs to another installation",
                f"{tenant.id.tenant} is run from {self.run_dir.root} by installation {mark.installation!r}, and this "
                f"is {self.installation!r}. Use another tenant name or another directory.",
            )
        return PreparedResource(tenant.id, error=error, payload=tenant)

    def _variant(self, variant: DesiredVariant, live: Live, lacking: TargetError | None) -> PreparedResource:
        wanted = variant_fields(variant)
        there = live.resources.get(variant.id)
        changes = list(_differences(there.fields if there else {}, wanted))
        drifted = list(_drift(there, variant, wanted)) if there else []
        errors = []
        if changes or drifted:  # what runs as it should needs nothing, and so lacks nothing
            errors = [lacking] if lacking else secret_errors(variant.env, self.secrets_dir)
        return PreparedResource(
            variant.id,
            (*changes, *drifted),
            errors[0] if errors else None,
            drift=bool(drifted) and not changes,
            payload=variant,
        )

    def _deployment(
        self, deployment: DesiredDeployment, desired: Desired, live: Live, error: TargetError | None
    ) -> PreparedResource:
        route = live.resources.get(deployment.id)
        changes = [*_traffic(deployment, desired, live, route), *(self._url(route) if route else ())]
        drifted = list(self._route_drift(route)) if route else []
        return PreparedResource(
            deployment.id,
            (*changes, *drifted),
            error if changes or drifted else None,
            drift=bool(drifted) and not changes,
            payload=deployment,
        )

    def _route_drift(self, route: LiveResource) -> Iterator[FieldChange]:
        if route.fields[GATEWAY_FIELD] != "running":
            yield FieldChange(GATEWAY_FIELD, route.fields[GATEWAY_FIELD], "running")
        yield from _beside(route.fields, {GATEWAY_FIELD, URL_FIELD})

    def _url(self, route: LiveResource) -> Iterator[FieldChange]:
        """The operator has named another address. What never changes is one that was chosen."""
        old = route.fields.get(URL_FIELD)
        new = f"{self.gateway.url}/{route.id.tenant}/{route.id.name}"
        if old is not None and old != new:
            yield FieldChange(URL_FIELD, old, new)


def missing_extra() -> TargetError | None:
    """Why nothing can be served here at all: the packages that serve are an extra."""
    lacking = [name for name in REQUIRED_MODULES if importlib.util.find_spec(name) is None]
    if not lacking:
        return None
    return TargetError(
        "The local target is not installed",
        f"To serve models on this machine it needs {', '.join(lacking)}: pip install 'kubeserve[local]'",
    )


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[FieldChange]:
    for name, value in new.items():
        if old.get(name) != value:
            yield FieldChange(name, old.get(name), value)


def _drift(there: LiveResource, variant: DesiredVariant, wanted: Mapping[str, str]) -> Iterator[FieldChange]:
    if there.terminating:
        yield FieldChange("state", "being removed", "running")
    elif there.replicas != variant.replicas.min:
        yield FieldChange("running replicas", str(there.replicas), str(variant.replicas.min))
    yield from _beside(there.fields, wanted.keys())


def _beside(live: Mapping[str, str], known: Collection[str]) -> Iterator[FieldChange]:
    """What is there and should not be."""
    for name, value in live.items():
        if name not in known:
            yield FieldChange(name, value, None)


def _traffic(
    deployment: DesiredDeployment, desired: Desired, live: Live, route: LiveResource | None
) -> Iterator[FieldChange]:
    old = dict(route.weights) if route else {}
    if old == dict(deployment.weights):
        return
    versions = {v.id: v.version_name for v in desired.variants_of[deployment.id]}
    versions |= {v: live.resources[v].fields.get("version", v.name) for v in old if v in live.resources}
    before, after = _shares(old, versions), _shares(deployment.weights, versions)
    if before == after:  # the same versions, with other settings: tell the variants apart
        before, after = _shares(old, {}), _shares(deployment.weights, {})
    yield FieldChange("traffic", before or None, after)


def _shares(weights: Mapping[ResourceId, int], versions: Mapping[ResourceId, str]) -> str:
    return ", ".join(f"{versions.get(variant, variant.name)} {weight}%" for variant, weight in weights.items())
