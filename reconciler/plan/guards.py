"""What a round refuses to delete before somebody says so. Pure; called by `diff.py`.

Only deployments and tenants count: a variant that a newer one replaces is no deletion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from reconciler.model.resources import Desired, Kind, ResourceId
from reconciler.plan.model import Action, Change, Guard
from reconciler.targets.protocol import Live
from specs.models.platform import Guards


def find_guards(
    changes: Iterable[Change], live: Live, desired: Desired, limits: Guards, *, allowed: bool
) -> tuple[Guard, ...]:
    """The guards that trip. `allowed`: the user has allowed deletions over the budget; it can't override the guards
    against unreadable or missing specs."""
    deleted = [c.id for c in changes if c.action is Action.DELETE and c.id.kind in (Kind.DEPLOYMENT, Kind.TENANT)]
    if not deleted:
        return ()
    found = list(_protected(deleted, desired))
    safe = {resource for guard in found for resource in guard.withheld}
    rest = [d for d in deleted if d not in safe and d.tenant not in desired.removed]
    if not desired.tenants:
        found += _empty(rest, desired)
    elif not allowed:
        at_risk = [d for d in rest if d in live.routes]  # one that is only recorded serves nobody
        found += _over_budget(at_risk, live, limits)
        found += _whole_tenants(at_risk, live)
    return tuple(found)


def _empty(rest: list[ResourceId], desired: Desired) -> Iterator[Guard]:
    if rest:
        nothing = desired.protected == frozenset()
        yield Guard(
            "empty",
            f"No {'specs were found' if nothing else 'spec could be used'}, so nothing is deleted",
            f"{len(rest)} deployments run, and "
            + ("the source has no kubeserve.yaml at all." if nothing else "every spec that there is has an error.")
            + " If they are to go, say so with `kubeserve destroy`.",
            tuple(rest),
        )


def _protected(deleted: list[ResourceId], desired: Desired) -> Iterator[Guard]:
    withheld = tuple(d for d in deleted if desired.is_protected(d.tenant))
    if not withheld:
        return
    if desired.protected is None:
        summary = "A spec could not be read, so nothing is deleted"
        detail = (
            "It may be the spec of any tenant. Once it is fixed, the next round deletes what no spec names any more."
        )
    else:
        tenants = ", ".join(sorted({d.tenant for d in withheld}))
        summary = f"Specs of {tenants} have errors, so nothing of theirs is deleted"
        detail = "Mend them, and what is no longer asked for goes with the next round."
    yield Guard("protected", summary, detail, withheld)


def _over_budget(at_risk: list[ResourceId], live: Live, limits: Guards) -> Iterator[Guard]:
    deployments = tuple(d for d in at_risk if d.kind is Kind.DEPLOYMENT)
    total = len(live.routes)
    if len(deployments) > limits.max_deletions and len(deployments) * 100 > total * limits.max_deletion_percent:
        yield Guard(
            "budget",
            f"{len(deployments)} of {total} deployments would be deleted",
            f"More than {limits.max_deletions} and more than {limits.max_deletion_percent}% at once looks like a "
            "mistake. If it is meant, say so with --allow-deletions.",
            deployments,
        )


def _whole_tenants(at_risk: list[ResourceId], live: Live) -> Iterator[Guard]:
    deployments = [d for d in at_risk if d.kind is Kind.DEPLOYMENT]
    lost = Counter(d.tenant for d in deployments)
    had = Counter(route.tenant for route in live.routes)
    for tenant, count in sorted(lost.items()):
        if count >= 2 and count >= had[tenant]:
            yield Guard(
                "whole-tenant",
                f"All {count} deployments of tenant {tenant} would be deleted",
                "If it is meant, say so with --allow-deletions.",
                tuple(d for d in deployments if d.tenant == tenant),
            )
