"""Where the API server is and who we are there: a kubeconfig and a context, or the pod's own service account."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.targets.protocol import TargetError
from specs.names import listing

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

POOL_SIZE = 32


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What the user or platform.yaml names. None: KUBECONFIG or ~/.kube/config and its current context, and
    inside a pod the pod's service account."""

    kubeconfig: Path | None = None
    context: str | None = None


def open_api(settings: ClusterSettings) -> tuple[ApiClient, str]:
    """A client, and the name of the context for people. TargetError says what to do. Imports `kubernetes`: 0.8 s."""
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException
    from yaml import YAMLError

    configuration = client.Configuration()
    configuration.connection_pool_maxsize = POOL_SIZE
    configuration.retries = False  # transport.py retries, knowing what is safe
    try:
        name = _load(config, configuration, settings)
    except (ConfigException, OSError, ValueError, TypeError, YAMLError) as error:
        why = str(error).rstrip(".")
        raise TargetError(
            "No cluster is configured",
            f"{why}. Name a kubeconfig with --kubeconfig or KUBECONFIG, and a context with --context.",
        ) from error
    return client.ApiClient(configuration), name


def _load(config: Any, configuration: Any, settings: ClusterSettings) -> str:
    file = str(settings.kubeconfig) if settings.kubeconfig else None
    try:
        contexts, current = config.list_kube_config_contexts(config_file=file)
    except config.ConfigException:
        if settings.kubeconfig or settings.context:
            raise
        config.load_incluster_config(client_configuration=configuration)
        return "in-cluster"
    names = [str(context["name"]) for context in contexts]
    if settings.context and settings.context not in names:
        where = file or "the kubeconfig"
        raise TargetError(
            "No such context",
            f"There is no context '{settings.context}' in {where}; it has {listing(names)}. Name one of these with "
            "--context, or in platform.yaml by `kubernetes: {context: …}`.",
        )
    config.load_kube_config(file, settings.context, configuration, persist_config=False)
    return settings.context or str(current["name"])
