"""What users of a deployment need: its address, its logs, its predictions.

Called by `target.py` for the commands that read. Every request uses the user's own rights.
"""

from __future__ import annotations

import http.client
import queue
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from reconciler.model.resources import ResourceId
from reconciler.targets.kubernetes.client import KubeClient, KubeError, Reason
from reconciler.targets.kubernetes.client.errors import error_of
from reconciler.targets.kubernetes.objects.identity import VARIANT, Object, ObjectRef, selector
from reconciler.targets.kubernetes.objects.kinds import GATEWAY, POD
from reconciler.targets.kubernetes.readiness.pods import FETCH, SERVER, pod_failure
from reconciler.targets.kubernetes.tenancy.objects import namespace_of
from reconciler.targets.protocol import TargetError
from runtime.paths import predict_path
from specs.models.cluster import Routing
from specs.models.platform import Platform
from specs.untrusted import Untrusted

PREDICT_SECONDS = 330.0
"""Above what any request may take, so that the model server's own answer comes first."""
CONNECT_SECONDS = 3.0
DEFAULT_PORTS = {"http": 80, "https": 443}

Answer = tuple[int, bytes, Mapping[str, str]]


@dataclass
class ClusterAccess:
    kube: KubeClient
    platform: Platform

    def url(self, deployment: ResourceId) -> str:
        """Through the gateway where one is known; else the stable Service's, inside the cluster."""
        base = self.base or f"http://{deployment.name}.{namespace_of(self.platform, deployment.tenant)}.svc"
        return f"{base}/{deployment.tenant}/{deployment.name}"

    @cached_property
    def base(self) -> str | None:
        """The URL of platform.yaml, else the address of the Gateway. None: not reachable from outside."""
        kubernetes = self.platform.kubernetes
        if kubernetes.url:
            return kubernetes.url.rstrip("/")
        if kubernetes.routing is Routing.INGRESS:
            return f"http://{kubernetes.host}" if kubernetes.host else None
        if kubernetes.routing is not Routing.GATEWAY or kubernetes.gateway is None:
            return None
        return _gateway_url(self._gateway(kubernetes.gateway), kubernetes.host)

    def logs(self, variants: Sequence[ResourceId], *, lines: int, follow: bool) -> Iterator[str]:
        """The last lines of every container of every pod, and what is added. TargetError: there is none, or the user
        may not read it."""
        containers = [found for variant in variants for found in self._containers(variant)]
        if not containers:
            names = ", ".join(variant.name for variant in variants)
            raise TargetError("No log is there", f"No pod of {names} exists that has started a container.")
        several = len(containers) > 1
        if follow:
            yield from self._followed(containers, lines, several=several)
        else:
            for pod, name in containers:
                yield from self._lines(pod, name, lines, several=several)

    def failed_logs(self, deployment: ResourceId, *, lines: int) -> Iterator[str]:
        """The log of a pod that fails. TargetError: no such pod is left; the record keeps its last lines."""
        labels = f"{selector(self.platform.installation, deployment.tenant)},kubeserve.io/deployment={deployment.name}"
        pods = self.kube.list(*POD, labels=labels, namespace=namespace_of(self.platform, deployment.tenant))
        for pod in sorted(pods, key=lambda one: str(one["metadata"]["creationTimestamp"]), reverse=True):
            failure = pod_failure(self.kube, pod, lines=lines)
            if failure is not None:
                return iter((*failure.log, failure.cause))
        raise TargetError(
            "No failure is kept",
            f"No pod of {deployment.name} that failed is left. `kubeserve status` says why it failed.",
        )

    def predict(self, deployment: ResourceId, body: bytes, variant: str | None = None) -> Answer:
        """Through the route, as any client asks, where it can be reached from here; else through the API server's
        proxy. A variant is asked at its own Service. TargetError when neither answers."""
        path = predict_path(deployment.tenant, deployment.name)
        if variant is None and self.base is not None and (answer := _post(self.base + path, body)) is not None:
            return answer
        namespace, service = namespace_of(self.platform, deployment.tenant), variant or deployment.name
        status, content, headers = self.kube.ask_service(namespace, service, path, body, seconds=PREDICT_SECONDS)
        if status >= 400 and b'"kind":"Status"' in content.replace(b" ", b"")[:200]:  # the API server's own answer
            raise _unreachable(deployment, error_of(status, content, f"ask Service {namespace}/{service}"))
        return status, content, headers

    def _gateway(self, name: str) -> Object | None:
        namespace, _, gateway = name.partition("/")
        try:
            return self.kube.get(ObjectRef(*GATEWAY, namespace, gateway))
        except KubeError as error:
            if error.reason in (Reason.FORBIDDEN, Reason.NOT_FOUND):  # not ours to read, or no such kind
                return None
            raise

    def _containers(self, variant: ResourceId) -> list[tuple[Object, str]]:
        """Each pod of a variant with the container whose log is of interest."""
        labels = f"{selector(self.platform.installation, variant.tenant)},{VARIANT}={variant.name}"
        pods = self.kube.list(*POD, labels=labels, namespace=namespace_of(self.platform, variant.tenant))
        return [(pod, name) for pod in pods if (name := _writes(pod))]

    def _followed(self, containers: list[tuple[Object, str]], lines: int, *, several: bool) -> Iterator[str]:
        """The lines of all of them as they are written; ends when all logs have ended."""
        found: queue.SimpleQueue[str | KubeError | None] = queue.SimpleQueue()

        def read(pod: Object, name: str) -> None:
            try:
                for line in self._lines(pod, name, lines, several=several, follow=True):
                    found.put(line)
            except KubeError as error:
                found.put(error)
            finally:
                found.put(None)

        for pod, name in containers:
            threading.Thread(target=read, args=(pod, name), daemon=True, name="follow").start()
        open_ = len(containers)
        while open_:
            line = found.get()
            if line is None:
                open_ -= 1
            elif isinstance(line, KubeError):
                raise line
            else:
                yield line

    def _lines(self, pod: Object, container: str, lines: int, *, several: bool, follow: bool = False) -> Iterator[str]:
        """The lines of one container. If its log breaks off, for example with its pod, the others continue."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        prefix = _prefix(pod, container, several=several)
        try:
            for line in self.kube.log_lines(namespace, name, container, lines=lines, follow=follow):
                yield prefix + line
        except KubeError as error:
            if error.reason is Reason.FORBIDDEN:
                raise
            yield f"{prefix}(its log ends: {error.message})"


def _gateway_url(gateway: Object | None, host: str | None) -> str | None:
    if gateway is None:
        return f"http://{host}" if host else None
    listeners = gateway["spec"].get("listeners") or [{}]
    listener = next((one for one in listeners if one.get("protocol") == "HTTPS"), listeners[0])
    scheme = "https" if listener.get("protocol") == "HTTPS" else "http"
    addresses = (gateway.get("status") or {}).get("addresses") or []
    name = host or (addresses[0]["value"] if addresses else None)
    if name is None:
        return None
    port = int(listener.get("port") or DEFAULT_PORTS[scheme])
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" + ("" if port == DEFAULT_PORTS[scheme] else f":{port}")


def _writes(pod: Object) -> str | None:
    """The container of a pod whose log is of interest: the server, else the one that fetches the version."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        started = {"running", "terminated"} & (container.get("state") or {}).keys() or container.get("restartCount")
        if container["name"] == SERVER and started:
            return SERVER
    return FETCH if any(c["name"] == FETCH for c in status.get("initContainerStatuses") or ()) else None


def _prefix(pod: Object, container: str, *, several: bool) -> str:
    if not several:
        return ""
    name: str = pod["metadata"]["name"]
    return f"[{name}] " if container == SERVER else f"[{name} {container}] "


def _post(url: str, body: bytes) -> Answer | None:
    """None if nothing accepts connections there."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connecting: http.client.HTTPConnection = (
        http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
        if secure
        else http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
    )
    try:
        connecting.connect()
    except (OSError, ssl.SSLError):
        connecting.close()
        return None
    try:
        connecting.sock.settimeout(PREDICT_SECONDS)
        connecting.request("POST", parts.path, body, {"Content-Type": "application/json"})
        answer = connecting.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    except (OSError, http.client.HTTPException) as error:
        raise TargetError("The gateway does not answer", f"{url}: {Untrusted(str(error))}", retryable=True) from error
    finally:
        connecting.close()


def _unreachable(deployment: ResourceId, error: KubeError) -> TargetError:
    if error.reason is Reason.NOT_FOUND:
        detail = f"Nothing of {deployment} exists in the cluster. `kubeserve apply` starts it."
    elif error.reason is Reason.FORBIDDEN:
        detail = (
            f"{Untrusted(error.message)}. Outside the cluster, a prediction needs a reachable route, or that right."
        )
    else:
        detail = f"{Untrusted(error.message)}. `kubeserve status` shows how it is."
    return TargetError("The deployment can't be reached", detail, retryable=error.retryable)
