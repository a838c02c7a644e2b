"""Logs and predictions of the local target, for the commands that read."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from reconciler.model.resources import ResourceId
from reconciler.targets.local import failures
from reconciler.targets.local.gateway_process import url_of
from reconciler.targets.local.logs import Follower, merged, said
from reconciler.targets.local.probe import Address
from reconciler.targets.local.replicas import Replica, replicas_of
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.protocol import TargetError
from runtime.paths import predict_path
from specs.untrusted import Untrusted

PREDICT_SECONDS = 330.0
"""Above what the gateway itself waits for a model, so that its answer comes first."""


def logs(run_dir: RunDir, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
    """The last lines of every replica, then what is added while it is followed. TargetError: there is no log."""
    found = [named for variant in variants for named in _replicas(run_dir, variant, several=len(variants) > 1)]
    followers = [(prefix, Follower(replica.folder.log_file)) for prefix, replica in found]
    for prefix, replica in found:
        yield from (prefix + line for line in said(*replica.folder.logs, lines))
    if follow:
        yield from merged(followers)


def failed_logs(run_dir: RunDir, deployment: ResourceId, *, lines: int) -> Iterator[str]:
    """The log of the newest failure that was kept. TargetError: none was kept."""
    folder = failures.newest(run_dir, deployment)
    if folder is None:
        raise TargetError("No failure is kept", f"No log of a failed start of {deployment.name} is kept here.")
    yield from said(*folder.logs, lines)


def predict(
    gateway: Address | None, deployment: ResourceId, body: bytes, variant: str | None
) -> tuple[int, bytes, Mapping[str, str]]:
    """Asks a deployment through the gateway, as any client does. TargetError when it can't be reached."""
    if gateway is None:
        raise TargetError("The gateway does not run", "Nothing is served here. `kubeserve apply` starts it.")
    from reconciler.targets.local.gateway.headers import VARIANT_HEADER

    url = urlsplit(url_of(gateway))
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=PREDICT_SECONDS)
    headers = {"Content-Type": "application/json"} | ({VARIANT_HEADER: variant} if variant else {})
    try:
        path = predict_path(deployment.tenant, deployment.name)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    except (OSError, http.client.HTTPException) as error:
        raise TargetError(
            "The gateway does not answer", f"{url_of(gateway)}: {Untrusted(str(error))}", retryable=True
        ) from error
    finally:
        connection.close()


def _replicas(run_dir: RunDir, variant: ResourceId, *, several: bool) -> list[tuple[str, Replica]]:
    """Every replica with the prefix of its log lines, which is empty if there is only one replica."""
    replicas = [r for r in replicas_of(run_dir.variant(variant)) if r.alive or r.kill_at is None]
    if not replicas:
        detail = f"Nothing of {variant.name} runs here. If it failed, `kubeserve logs --failed` shows why."
        raise TargetError("No log is there", detail)
    name = f"{variant.name} " if several else ""
    numbered = len(replicas) > 1
    return [(f"{name}[{number}] " if numbered else name, replica) for number, replica in enumerate(replicas, start=1)]
