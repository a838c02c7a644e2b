"""What a rendered pod may do: Pod Security `restricted`, no identity but the tenant's, and no credentials of the
operator's where the tenant's code runs. Pure.

Fields are allowed by name: one that the API gains later is refused until somebody has judged it. The namespace enforces
`restricted` too; here a violation is an error of the plan that names the template. Called by `fence.py`.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.tenancy.objects import PULL_SECRET, SERVICE_ACCOUNT, STORE_SECRET

_TEMPLATE = frozenset({"metadata", "spec"})
_TEMPLATE_METADATA = frozenset({"labels", "annotations"})
_POD = frozenset(
    {"containers", "initContainers", "volumes", "securityContext", "imagePullSecrets", "restartPolicy"}
    | {"serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds"}
    | {"nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "schedulerName", "readinessGates"}
    | {"priorityClassName", "preemptionPolicy", "runtimeClassName", "hostUsers", "dnsPolicy", "dnsConfig"}
)
_CONTAINER = frozenset(
    {"name", "image", "imagePullPolicy", "command", "args", "workingDir", "env", "envFrom", "ports", "resources"}
    | {"securityContext", "volumeMounts", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"}
    | {"terminationMessagePath", "terminationMessagePolicy", "restartPolicy", "resizePolicy"}
)
_IDENTITY = frozenset({"runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile", "appArmorProfile"})
_POD_CONTEXT = _IDENTITY | {"fsGroup", "fsGroupChangePolicy", "supplementalGroups", "supplementalGroupsPolicy"}
_CONTAINER_CONTEXT = _IDENTITY | {
    *("allowPrivilegeEscalation", "capabilities", "privileged", "procMount", "readOnlyRootFilesystem")
}
_VOLUMES = frozenset({"name", "emptyDir", "configMap", "secret", "downwardAPI"})
_PROFILES = frozenset({"RuntimeDefault", "Localhost"})
_AMOUNTS = ("cpu", "memory")
_COPIES = frozenset({STORE_SECRET, PULL_SECRET})
"""Secrets in the tenant's namespace that hold the operator's credentials."""

_SYSTEM_PRIORITY = "system-"

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HOOKS = ("postStart", "preStop")
_REQUESTS = ("httpGet", "tcpSocket")

_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_UNCONFINING = (_APP_ARMOR, "seccomp.security.alpha.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/")
"""Annotations by which a profile was chosen before there were fields for it; older nodes still read them."""
_NETWORKS = frozenset({"k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"})
"""Annotations that attach a pod to networks where no NetworkPolicy applies."""


def template_faults(template: Mapping[str, JSON]) -> Iterator[str]:
    """What of a pod template is not allowed, in words."""
    yield from unknown_fields(template, _TEMPLATE, "its pod template")
    metadata: Mapping[str, JSON] = template["metadata"]
    yield from unknown_fields(metadata, _TEMPLATE_METADATA, "the metadata of its pods")
    for name, value in (metadata.get("annotations") or {}).items():
        if name in _NETWORKS:
            yield f"its pods may not have the annotation {name}"
        if name.startswith(_UNCONFINING) and value == "unconfined":
            yield f"the annotation {name} of its pods may not be unconfined"
    yield from _pod_faults(template["spec"])


def _pod_faults(pod: Mapping[str, JSON]) -> Iterator[str]:
    yield from unknown_fields(pod, _POD, "its pods")
    if pod.get("serviceAccountName", SERVICE_ACCOUNT) != SERVICE_ACCOUNT:
        yield f"its service account must be {SERVICE_ACCOUNT}"
    if pod.get("automountServiceAccountToken") is not False:
        yield "its pods must say automountServiceAccountToken: false"
    if str(pod.get("priorityClassName")).startswith(_SYSTEM_PRIORITY):
        yield f"its pods may not have the priority class {pod['priorityClassName']}, which is for the cluster's own"
    for volume in pod.get("volumes") or ():
        yield from _volume_faults(volume)
    shared = pod.get("securityContext") or {}
    yield from unknown_fields(shared, _POD_CONTEXT, "the securityContext of its pods")
    yield from (f"the securityContext of its pods {fault}" for fault in _profile_faults(shared))
    inits: Collection[JSON] = pod.get("initContainers") or ()
    ending = [one for one in inits if one.get("restartPolicy") != "Always"]
    for container in (*inits, *pod["containers"]):
        faults = _container_faults(container, shared, is_init=container in ending)
        yield from (f"container {container['name']} {fault}" for fault in faults)


def _volume_faults(volume: Mapping[str, JSON]) -> Iterator[str]:
    name = volume.get("name")
    for kind in sorted(set(volume) - _VOLUMES):
        yield f"its volume {name} may not be a {kind}"
    if (secret := (volume.get("secret") or {}).get("secretName")) in _COPIES:
        yield f"its volume {name} may not be the Secret {secret}, which holds credentials of the operator"


def _container_faults(container: Mapping[str, JSON], shared: Mapping[str, JSON], *, is_init: bool) -> Iterator[str]:
    yield from unknown_fields(container, _CONTAINER)
    own: Mapping[str, JSON] = container.get("securityContext") or {}
    yield from (f"{fault} in its securityContext" for fault in unknown_fields(own, _CONTAINER_CONTEXT))
    yield from _profile_faults(own)
    yield from _confinement_faults({**shared, **own})
    yield from _credential_faults(container, is_init=is_init)
    yield from _host_faults(container)
    if any(port.get("hostPort") or port.get("hostIP") for port in container.get("ports") or ()):
        yield "may not have a hostPort or hostIP"
    resources = container.get("resources") or {}
    if resources.get("claims"):
        yield "may not claim devices"
    for which in ("requests", "limits"):
        if any(amount not in (resources.get(which) or {}) for amount in _AMOUNTS):
            yield f"must have {which} of cpu and memory"


def _profile_faults(context: Mapping[str, JSON]) -> Iterator[str]:
    """Profiles that are named, be it where a container's own would win: Pod Security refuses these as well."""
    for field, name in (("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")):
        profile = context.get(field)
        if profile and profile.get("type") not in _PROFILES:
            yield f"may not have the {name} profile {profile.get('type')}: only RuntimeDefault or Localhost"
    if context.get("runAsUser") == 0:
        yield "may not run as user 0"


def _confinement_faults(context: Mapping[str, JSON]) -> Iterator[str]:
    """`context`: of the pod and the container together."""
    if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
        yield "must say allowPrivilegeEscalation: false, and may not be privileged"
    if context.get("runAsNonRoot") is not True:
        yield "must say runAsNonRoot: true"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "must say readOnlyRootFilesystem: true"
    if not context.get("seccompProfile"):
        yield "must have a seccomp profile: RuntimeDefault or Localhost"
    if context.get("procMount", "Default") != "Default":
        yield "may not change procMount"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()) or capabilities.get("add"):
        yield "must drop ALL capabilities, and add none"


def _credential_faults(container: Mapping[str, JSON], *, is_init: bool) -> Iterator[str]:
    """The operator's credentials are for fetching, which an init container does that ends before the model starts: only
    such a one may name them, and key by key."""
    for source in container.get("envFrom") or ():
        if (name := (source.get("secretRef") or {}).get("name")) in _COPIES:
            yield f"may not take its environment from the Secret {name}, which holds credentials of the operator"
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
        if (name := reference.get("name")) == PULL_SECRET or (name == STORE_SECRET and not is_init):
            yield (
                f"may not read the Secret {name} in its variable {variable.get('name')}: credentials of the operator "
                "are for init containers alone"
            )


def _host_faults(container: Mapping[str, JSON]) -> Iterator[str]:
    """A probe or hook with a host has the kubelet send requests there from the node, past all network policies."""
    lifecycle = container.get("lifecycle") or {}
    handlers = {name: container.get(name) for name in _PROBES} | {name: lifecycle.get(name) for name in _HOOKS}
    for name, handler in handlers.items():
        for request in _REQUESTS:
            if ((handler or {}).get(request) or {}).get("host"):
                yield f"may not name a host in its {name}"


def unknown_fields(content: Mapping[str, JSON], allowed: Collection[str], where: str = "") -> Iterator[str]:
    """Fields that are not allowed; one that is empty or false changes nothing."""
    for field in sorted(name for name, value in content.items() if value and name not in allowed):
        yield f"{where} may not have {field}".strip()
