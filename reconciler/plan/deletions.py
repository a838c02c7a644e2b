"""Decides what to delete. Resources with our mark that the state file does not know are shown, not deleted.

Pure; called by `diff.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.resources import Kind, ResourceId
from reconciler.plan.inputs import PlanOptions, World
from reconciler.plan.model import Action, Change, Unclaimed
from reconciler.targets.protocol import LiveResource, LiveVariant


class Deletions:
    """`unclaimed` grows while its methods are asked."""

    def __init__(self, world: World, options: PlanOptions) -> None:
        self.desired = world.desired
        self.live = world.live
        self.state = world.state
        self.live_variants = world.live_variants
        self.options = options
        self.unclaimed: list[Unclaimed] = []

    def may_replace(self, old: LiveVariant) -> bool:
        """Whether to remove a variant that its deployment no longer needs: only if the state file knows it, it takes
        the deployment's traffic, or it is being deleted already. Any other is listed as unclaimed."""
        if self.options.prune_unclaimed or old.terminating or old.id in self.state.resources:
            return True
        route = self.live.routes.get(old.deployment)
        if route is not None and old.id in route.weights:
            return True
        self.unclaimed.append(Unclaimed(old.id, "takes no traffic, and this state file does not know it"))
        return False

    def all(self) -> Iterator[Change]:
        """Deployments that no spec names any more, live or only recorded, and tenants that the operator removes."""
        recorded = (r for r in self.state.resources if r.kind is Kind.DEPLOYMENT)
        wanted = () if self.options.destroy else self.desired.deployments
        for deployment in sorted(d for d in {*recorded, *self.live.routes, *self.live_variants} if d not in wanted):
            if deployment in self.options.scope and self._may_delete(deployment):
                yield from self._delete_deployment(deployment)
        for tenant in self.live.tenants.values():
            if self._tenant_goes(tenant.id):
                yield _deletion(tenant)

    def _may_delete(self, deployment: ResourceId) -> bool:
        parts = {deployment, *(v.id for v in self.live_variants.get(deployment, ()))}
        if self.options.prune_unclaimed or parts & self.state.resources.keys():
            return True
        self.unclaimed.append(Unclaimed(deployment, "runs, but this state file does not know it"))
        return False

    def _delete_deployment(self, deployment: ResourceId) -> Iterator[Change]:
        route = self.live.routes.get(deployment)
        if route is not None:
            yield _deletion(route)
        else:
            yield Change(deployment, Action.DELETE, note="nothing of it serves")
        yield from (variant_deletion(variant) for variant in self.live_variants.get(deployment, ()))

    def _tenant_goes(self, tenant: ResourceId) -> bool:
        if not self.options.scope.is_whole(tenant.tenant):
            return False
        removed = tenant.tenant in self.desired.removed and tenant not in self.desired.tenants
        if not (self.options.destroy or removed):
            return False
        if tenant not in self.state.resources and not self.options.prune_unclaimed:
            self.unclaimed.append(Unclaimed(tenant, "is there, but this state file does not know it"))
            return False
        return all(item.id.tenant != tenant.tenant for item in self.unclaimed)  # else that would go with it


def variant_deletion(variant: LiveVariant) -> Change:
    note = f"version {variant.version or 'unknown'}"
    return _deletion(variant, note=note, deployment=variant.deployment)


def _deletion(resource: LiveResource, *, note: str = "", deployment: ResourceId | None = None) -> Change:
    return Change(
        resource.id,
        Action.DELETE,
        note=note,
        deployment=deployment,
        fingerprint=resource.fingerprint,
    )
