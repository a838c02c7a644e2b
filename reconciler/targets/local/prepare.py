"""What a plan needs to know about this machine: drift, and why something can't be applied.

Called once per round for the whole batch. Its checks (do secrets exist, can the gateway
listen, are the serving packages installed) change nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.described import FieldChange, shares, variant_fields
from reconciler.model.resources import Desired, DesiredDeployment, DesiredTenant, DesiredVariant, ResourceId
from reconciler.targets.local.environment import secret_errors
from reconciler.targets.local.gateway_process import GatewayProcess, url_of
from reconciler.targets.local.observe import Snapshot
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.protocol import Live, LiveRoute, LiveVariant, PreparedResource
from specs.errors import Trouble

REQUIRED_MODULES = ("aiohttp", "numpy", "orjson", "prometheus_client", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True)
class Preparer:
    run_dir: RunDir
    installation: str
    secrets_dir: Path
    gateway: GatewayProcess

    def prepare(self, desired: Desired, live: Live) -> dict[ResourceId, PreparedResource]:
        snapshot = snapshot_of(live)
        lacking = missing_extra()
        refused = self.gateway.trouble() if desired.deployments else None
        gateway = lacking or (refused.trouble if refused else None)
        found = [self._tenant(tenant) for tenant in desired.tenants.values()]
        found += [
            self._variant(variant, live, snapshot.unexpected.get(variant.id, {}), lacking)
            for variant in desired.variants.values()
        ]
        found += [self._deployment(deployment, live, snapshot, gateway) for deployment in desired.deployments.values()]
        return {resource.id: resource for resource in found}

    def _tenant(self, tenant: DesiredTenant) -> PreparedResource:
        mark = self.run_dir.tenant(tenant.id.tenant)
        trouble = None
        if mark is not None and mark.installation != self.installation:
            trouble = Trouble(
                "Tenant belongs to another installation",
                f"{tenant.id.tenant} is run from {self.run_dir.root} by installation {mark.installation!r}, and this "
                f"is {self.installation!r}. Use another tenant name or another directory.",
            )
        return PreparedResource(tenant.id, trouble=trouble)

    def _variant(
        self, variant: DesiredVariant, live: Live, unexpected: Mapping[str, str], lacking: Trouble | None
    ) -> PreparedResource:
        there = live.variants.get(variant.id)
        drift = tuple(_drift(there, variant, unexpected)) if there else ()
        troubles = []
        if drift or there is None or there.described != variant_fields(variant):  # else it runs, and lacks nothing
            troubles = [lacking] if lacking else [e.trouble for e in secret_errors(variant.env, self.secrets_dir)]
        return PreparedResource(variant.id, drift, bool(drift), troubles[0] if troubles else None)

    def _deployment(
        self, deployment: DesiredDeployment, live: Live, snapshot: Snapshot, trouble: Trouble | None
    ) -> PreparedResource:
        route = live.routes.get(deployment.id)
        if route is None:
            return PreparedResource(deployment.id, trouble=trouble)
        changes, drift = (
            [*_traffic(deployment, route), *self._url(route, snapshot)],
            list(_route_drift(route, snapshot)),
        )
        different = bool(changes or drift)
        return PreparedResource(
            deployment.id, (*changes, *drift), bool(drift) and not changes, trouble if different else None
        )

    def _url(self, route: LiveRoute, snapshot: Snapshot) -> Iterator[FieldChange]:
        """The operator named another address. An address that was chosen automatically never changes."""
        old, new = url_of(snapshot.gateway) if snapshot.gateway else None, self.gateway.url
        if old is not None and old != new:
            path = f"/{route.id.tenant}/{route.id.name}"
            yield FieldChange("url", old + path, f"{new}{path}")


def snapshot_of(live: Live) -> Snapshot:
    if not isinstance(live.snapshot, Snapshot):
        raise TypeError("this was not observed by a local target")
    return live.snapshot


def missing_extra() -> Trouble | None:
    """Why nothing can be served here at all: the serving packages are an optional extra that is not installed."""
    lacking = [name for name in REQUIRED_MODULES if importlib.util.find_spec(name) is None]
    if not lacking:
        return None
    return Trouble(
        "The local target is not installed",
        f"To serve models on this machine it needs {', '.join(lacking)}: pip install 'kubeserve[local]'",
    )


def _drift(live: LiveVariant, variant: DesiredVariant, unexpected: Mapping[str, str]) -> Iterator[FieldChange]:
    if live.terminating:
        yield FieldChange("state", "being removed", "running")
    elif live.running != variant.replicas.min:
        yield FieldChange("running replicas", str(live.running), str(variant.replicas.min))
    yield from (FieldChange(name, value, None) for name, value in unexpected.items())


def _route_drift(route: LiveRoute, snapshot: Snapshot) -> Iterator[FieldChange]:
    if not route.reachable:
        yield FieldChange("gateway", "not running", "running")
    yield from (FieldChange(name, value, None) for name, value in snapshot.unexpected.get(route.id, {}).items())


def _traffic(deployment: DesiredDeployment, route: LiveRoute) -> Iterator[FieldChange]:
    old, new = ({v.name: weight for v, weight in one.weights.items()} for one in (route, deployment))
    if old != new:
        yield FieldChange("traffic", shares(old) or None, shares(new))
