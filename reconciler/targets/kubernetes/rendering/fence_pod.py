"""What a rendered pod may do: Pod Security `restricted`, and no identity beside the tenant's. Pure.

The namespace enforces `restricted` too; here it is an error of the plan that names the template. Called by `fence.py`.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.tenancy.objects import SERVICE_ACCOUNT

_FORBIDDEN = (
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "hostAliases",
    "nodeName",
    "ephemeralContainers",
)
_VOLUMES = frozenset({"name", "emptyDir", "configMap", "secret", "downwardAPI"})
_SECCOMP = frozenset({"RuntimeDefault", "Localhost"})
_AMOUNTS = ("cpu", "memory")


def pod_faults(pod: Mapping[str, JSON]) -> Iterator[str]:
    """What of a pod's spec is not allowed, in words."""
    for field in _FORBIDDEN:
        if pod.get(field):
            yield f"its pods may not have {field}"
    if pod.get("serviceAccountName", SERVICE_ACCOUNT) != SERVICE_ACCOUNT or pod.get("serviceAccount"):
        yield f"its service account must be {SERVICE_ACCOUNT}"
    if pod.get("automountServiceAccountToken") is not False:
        yield "its pods must say automountServiceAccountToken: false"
    for volume in pod.get("volumes") or ():
        for kind in sorted(set(volume) - _VOLUMES):
            yield f"its volume {volume.get('name')} may not be a {kind}"
    shared = pod.get("securityContext") or {}
    if shared.get("sysctls"):
        yield "its pods may not set sysctls"
    for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
        yield from (f"container {container['name']} {fault}" for fault in _container_faults(container, shared))


def _container_faults(container: Mapping[str, JSON], shared: Mapping[str, JSON]) -> Iterator[str]:
    context: Mapping[str, JSON] = {**shared, **(container.get("securityContext") or {})}
    if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
        yield "must say allowPrivilegeEscalation: false, and may not be privileged"
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        yield "must say runAsNonRoot: true, and may not run as user 0"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "must say readOnlyRootFilesystem: true"
    if (context.get("seccompProfile") or {}).get("type") not in _SECCOMP:
        yield "must have a seccomp profile: RuntimeDefault or Localhost"
    if (
        context.get("procMount", "Default") != "Default"
        or context.get("seLinuxOptions")
        or context.get("windowsOptions")
    ):
        yield "may not change procMount, seLinuxOptions or windowsOptions"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()) or capabilities.get("add"):
        yield "must drop ALL capabilities, and add none"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "may not have a hostPort"
    if container.get("volumeDevices"):
        yield "may not have volumeDevices"
    resources = container.get("resources") or {}
    for which in ("requests", "limits"):
        if any(amount not in (resources.get(which) or {}) for amount in _AMOUNTS):
            yield f"must have {which} of cpu and memory"
