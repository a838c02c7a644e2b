"""Removes deployments, variants and tenants, one quick step for each call; the caller repeats it until it returns True.

A variant is removed in this order: its routes; a wait until no request is in flight or its drain time is over;
SIGTERM; SIGKILL; its files. The deadlines are on disk, so that the next call, also of another process, continues.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from reconciler.model.resources import ResourceId, Scope
from reconciler.targets.local import failures
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.marks import Removal, VariantMark, write
from reconciler.targets.local.replicas import TERM_SECONDS, end, replicas_of
from reconciler.targets.local.routing import Routing
from reconciler.targets.local.rundir import RunDir, VariantFolder
from reconciler.targets.local.strays import kill_strays
from reconciler.targets.protocol import TargetError


@dataclass(frozen=True, slots=True)
class Remover:
    run_dir: RunDir
    installation: str
    routing: Routing
    gateway: GatewayProcess

    def remove_deployment(self, deployment: ResourceId) -> bool:
        self.routing.drop_route(deployment)
        return self._stop_unused_gateway()

    def remove_variant(self, variant: ResourceId) -> bool:
        folder = self.run_dir.variant(variant)
        mark = folder.mark()
        if mark is None:
            return self._remove_unmarked(variant)
        removal = folder.removal()
        if removal is None:
            self.routing.drop_variant(variant)
            removal = Removal(time.time() + mark.drain_seconds)
            write(folder.removal_file, removal)
        if not self._is_drained(variant, removal) or not self._end(folder, mark):
            return False
        self.run_dir.discard(folder.path)
        return self._stop_unused_gateway()

    def remove_tenant(self, tenant: ResourceId) -> bool:
        """Deletes the tenant's folder, once nothing of the tenant is left. TargetError while something is left."""
        name = tenant.tenant
        left = [mark.variant for _, mark in self.run_dir.variant_marks(Scope.of(name))]
        left += sorted(route.name for route in self.routing.routes() if route.tenant == name)
        if left:
            raise TargetError("Tenant is not empty", f"{name} still has {', '.join(left)}.", retryable=True)
        self.run_dir.discard(self.run_dir.tenant_file(name).parent)
        failures.forget(self.run_dir, name)
        return True

    def _is_drained(self, variant: ResourceId, removal: Removal) -> bool:
        return time.time() >= removal.drain_until or self.routing.in_flight(variant) == 0

    def _end(self, folder: VariantFolder, mark: VariantMark) -> bool:
        """Ends every replica at once. A replica that never served, or ended unasked, counts as failed."""
        replicas = replicas_of(folder)
        ended = [end(replica, TERM_SECONDS) for replica in replicas]
        if not all(ended):
            return False
        served = folder.served_file.exists()
        failed = [r for r in replicas if r.process is not None and (r.kill_at is None or not served)]
        failures.keep(self.run_dir, mark, failed)
        return True

    def _remove_unmarked(self, variant: ResourceId) -> bool:
        """Removes what is left of a variant whose mark was deleted or is unreadable."""
        self.run_dir.discard(self.run_dir.variant(variant).path)
        found = kill_strays(self.run_dir, self.installation, variant)
        return not found and self._stop_unused_gateway()

    def _stop_unused_gateway(self) -> bool:
        """One step towards its end, if no route or variant is left. False while the gateway is still ending."""
        if self.routing.routes() or self.run_dir.has_variants():
            return True
        return self.gateway.stop()
