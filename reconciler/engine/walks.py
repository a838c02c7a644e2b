"""What happens to one tenant, one version, one deployment: the walks that `execute.py` gives the scheduler.

A deployment goes: its parts are there -> new variants start beside the old -> ready, so their checks have
passed -> traffic moves -> the old ones drain and go. Until traffic has moved nothing that serves is touched.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from reconciler.engine.ledger import RecordedFailure
from reconciler.engine.run import Run
from reconciler.engine.scheduler import Call, Interrupted, Join, Pause, Ready, Steps, Walk
from reconciler.log import Log
from reconciler.model.resources import DesiredDeployment, DesiredVariant, Kind, ResourceId, tenant_id
from reconciler.plan.model import Action, Change
from reconciler.state.model import Phase
from reconciler.targets.protocol import Readiness, ReadinessState
from specs.errors import KubeServeError, Trouble
from specs.untrusted import visible, visible_line

T = TypeVar("T")

RETRY_DELAYS = (0.2, 1.0, 4.0)  # seconds, before jitter, for errors that say a retry helps
REMOVAL_POLL_SECONDS = 0.2  # at first; what takes long is asked less often
LONGEST_REMOVAL_POLL_SECONDS = 2.0
REMOVAL_GRACE_SECONDS = 30.0  # beyond the drain time, until a removal counts as stuck


class WalkError(KubeServeError):
    """How a walk came to an end. It may quote what others said, in words that are safe to show."""

    code = "failed"

    def __init__(self, reason: str, summary: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(visible(summary))
        self.reason = reason
        self.log = tuple(map(visible_line, log))


def tenant_walk(run: Run, change: Change) -> Walk:
    run.note(change.id, "provisioning")
    with run.failing_as(change.id, "TenantFailed"):
        _check(change.error)
        yield from retried(run.log(change.id), lambda: run.world.prepared.ensure(change.id))
        run.succeeded(change.id, "Provisioned")


def version_walk(run: Run, change: Change) -> Walk:
    run.note(change.id, "uploading")
    with run.failing_as(change.id, "UploadFailed"):
        _check(change.error)
        version = run.world.desired.versions[change.id]
        yield from retried(run.log(change.id), lambda: run.upload(version))
        run.succeeded(change.id, "Stored")


def deployment_walk(run: Run, change: Change) -> Walk:
    """Brings one deployment to what is desired, or leaves it serving what it served."""
    deployment = run.world.desired.deployments[change.id]
    with run.failing_as(change.id, "RolloutFailed"):
        try:
            _check(change.error)
            yield from _roll_out(run, deployment)
        except Interrupted:
            raise
        except Exception:
            yield from _look_again(run, change.id)
            raise
        run.succeeded(change.id, "Serving", url=run.url(change.id))


def adoption_walk(run: Run, change: Change) -> Walk:
    """Runs as desired already: only the record is brought up to date."""
    with run.failing_as(change.id, "RolloutFailed"):
        yield from Join(())
        url = run.url(change.id) if change.id.kind is Kind.DEPLOYMENT else ""
        run.succeeded(change.id, "TakenOver", url=url)


def deletion_walk(run: Run, change: Change) -> Walk:
    """A deployment's route first, so that no new request reaches its variants; then the variants, drained."""
    run.ledger.deleting(change.id)
    run.note(change.id, "removing")
    with run.failing_as(change.id, "DeletionFailed", phase=Phase.DELETING):
        if change.id.kind is Kind.TENANT:
            _check_parts((yield from Join(_deployments_of(run, change.id.tenant))))
        if change.fingerprint:  # something of it is live
            yield from _remove(run, change)
        yield from _retire(run, run.plan.variants_of.get(change.id, ()))
        run.gone(change.id)


def retried(log: Log, function: Callable[[], T]) -> Steps[T]:
    """Runs a call; again after a pause when its error says that a retry helps."""
    for delay in RETRY_DELAYS:
        try:
            return (yield from Call(function))
        except KubeServeError as error:
            if not error.retryable:
                raise
            log.debug("retrying", cause=error.sentence)
        yield from Pause(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
    return (yield from Call(function))


def _check(error: Trouble | None) -> None:
    if error is not None:
        raise WalkError("InvalidPlan", error.sentence)


def _check_parts(ended: Mapping[Hashable, BaseException | None]) -> None:
    for part, error in ended.items():
        if error is not None:
            raise WalkError("PartFailed", f"{part}: {_summary(error)}")


def _deployments_of(run: Run, tenant: str) -> tuple[ResourceId, ...]:
    """The deployments of a tenant that are being deleted."""
    return tuple(c.id for c in run.plan.deletions if c.id.tenant == tenant and c.id.kind is Kind.DEPLOYMENT)


def _roll_out(run: Run, deployment: DesiredDeployment) -> Steps[None]:
    yield from _parts(run, deployment)
    started = yield from _start(run, deployment)
    yield from _prove(run, deployment, started)
    yield from _route(run, deployment)
    yield from _retire(run, _replaced(run, deployment.id))
    yield from _settle(run, started)


def _parts(run: Run, deployment: DesiredDeployment) -> Steps[None]:
    """Waits for the tenant and the versions that this deployment is made of."""
    needed = [tenant_id(deployment.id.tenant)]
    needed += [variant.version for variant in run.world.desired.variants_of[deployment.id]]
    if missing := [part.name for part in needed[1:] if run.plan.by_id[part].is_work]:
        run.note(deployment.id, f"waiting for {', '.join(missing)}")
    _check_parts((yield from Join(tuple(needed))))


def _start(run: Run, deployment: DesiredDeployment) -> Steps[dict[ResourceId, DesiredVariant]]:
    """Starts new variants and adjusts those that differ. Answers all that have to be proved ready, including variants
    that an earlier round started before it was killed."""
    started: dict[ResourceId, DesiredVariant] = {}
    for variant in run.world.desired.variants_of[deployment.id]:
        if not run.plan.by_id[variant.id].is_work and run.serving.is_routed(variant):
            continue
        replicas = None if run.serving.is_routed(variant) else run.serving.initial_replicas(variant)
        run.note(deployment.id, f"starting {variant.name} (version {variant.version_name})")
        try:
            yield from retried(run.log(deployment.id), partial(run.world.prepared.ensure, variant.id, replicas))
        except Interrupted:
            raise
        except Exception as error:
            started[variant.id] = variant  # perhaps in part
            failure = WalkError("NotStarted", _summary(error), getattr(error, "log", ()))
            yield from _give_up(run, deployment.id, started, failure)
            raise failure from error
        started[variant.id] = variant
    return started


def _prove(run: Run, deployment: DesiredDeployment, started: Mapping[ResourceId, DesiredVariant]) -> Steps[None]:
    """Waits until all that was started is ready. If not: records why, removes what is new, and fails."""
    if not started:
        return
    seconds = max(variant.ready_seconds for variant in started.values())
    run.note(deployment.id, "waiting until it answers")
    seen = yield from Ready(tuple(started), seconds)
    failure = _failure(started, seen, seconds)
    if failure is not None:
        yield from _give_up(run, deployment.id, started, failure)
        raise failure


def _failure(
    started: Mapping[ResourceId, DesiredVariant], seen: Mapping[ResourceId, Readiness], seconds: float
) -> WalkError | None:
    """Why not all that was started is ready: what failed says more than what was only waited for."""
    waiting = [v for v in started if v not in seen or seen[v].state is not ReadinessState.READY]
    if not waiting:
        return None
    failed = [v for v in waiting if v in seen and seen[v].state is ReadinessState.FAILED]
    worst = (failed or waiting)[0]
    readiness = seen.get(worst, Readiness(ReadinessState.WAITING))
    if failed:
        reason, why = "NotReady", readiness.cause or "it ended"
    else:
        reason, why = "Timeout", f"not ready within {seconds:g} s: {readiness.cause or 'no answer'}"
    return WalkError(reason, f"version {started[worst].version_name}: {why}", readiness.log)


def _route(run: Run, deployment: DesiredDeployment) -> Steps[None]:
    run.note(deployment.id, "moving traffic")
    yield from retried(run.log(deployment.id), lambda: run.world.prepared.route(deployment.id))
    run.serving.moved.add(deployment.id)


def _replaced(run: Run, deployment: ResourceId) -> tuple[Change, ...]:
    return tuple(c for c in run.plan.variants_of.get(deployment, ()) if c.action is Action.DELETE)


def _retire(run: Run, variants: Iterable[Change]) -> Steps[None]:
    for change in variants:
        if change.action is Action.DELETE:
            run.note(change.deployment or change.id, f"removing {change.id.name} ({change.note})")
            yield from _remove(run, change)
            run.gone(change.id)


def _settle(run: Run, started: Mapping[ResourceId, DesiredVariant]) -> Steps[None]:
    """Scales a variant that started with the old one's number of replicas to its own number."""
    for variant in started.values():
        if run.serving.initial_replicas(variant) != variant.replicas.min:
            yield from retried(run.log(variant.id), partial(run.world.prepared.ensure, variant.id))


def _give_up(
    run: Run, deployment: ResourceId, started: Mapping[ResourceId, DesiredVariant], failure: WalkError
) -> Steps[None]:
    """Records why, then removes what this walk started and what never served; what served before stays."""
    blamed = RecordedFailure(failure.reason, failure.summary, failure.log)
    run.ledger.blame(deployment, blamed, run.failed_phase(deployment))
    for variant in started.values():
        if run.serving.is_routed(variant):
            continue
        run.note(deployment, f"removing {variant.name}, which failed")
        try:
            yield from _gone(run, variant.id, None, variant.drain_seconds)
        except Interrupted:
            raise
        except Exception as error:  # report the first failure; the record stays, so the next round removes it
            run.note(deployment, f"{variant.name} is still there: {_summary(error)}")
        else:
            run.gone(variant.id)


def _look_again(run: Run, deployment: ResourceId) -> Steps[None]:
    """What served when the round began may have died meanwhile; what is new may serve by now."""
    serving = run.serving.variants(deployment)
    if not serving:
        return
    try:
        seen = yield from Call(lambda: run.world.prepared.readiness(serving))
    except Interrupted:
        raise
    except Exception:  # the target is unreachable: keep the first observation
        return
    run.serving.answering[deployment] = any(one.ready or one.state is ReadinessState.READY for one in seen.values())


def _remove(run: Run, change: Change) -> Steps[None]:
    fingerprint = change.fingerprint if change.deployment is None else None  # a variant's moves during a rollout
    yield from _gone(run, change.id, fingerprint, run.serving.drain_seconds(change.id))


def _gone(run: Run, resource: ResourceId, fingerprint: str | None, drain_seconds: float) -> Steps[None]:
    """Asks until nothing is left. A removal that is stuck stays recorded and is asked again next round."""
    waited, pause = 0.0, REMOVAL_POLL_SECONDS
    while not (yield from retried(run.log(resource), partial(run.world.prepared.remove, resource, fingerprint))):
        fingerprint = None  # asking has changed it
        if waited > drain_seconds + REMOVAL_GRACE_SECONDS:
            raise WalkError("StuckRemoval", f"{resource} did not go within {waited:.0f} s")
        yield from Pause(pause)
        waited, pause = waited + pause, min(1.5 * pause, LONGEST_REMOVAL_POLL_SECONDS)


def _summary(error: BaseException) -> str:
    return error.sentence if isinstance(error, KubeServeError) else f"{type(error).__name__}: {error}"
