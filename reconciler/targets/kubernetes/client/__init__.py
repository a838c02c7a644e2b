"""The API server, and the one place of the project that imports the `kubernetes` package.

That package gives configuration, authentication and a connection pool; requests and answers are JSON, encoded
and decoded once. Used by the rest of the Kubernetes target.
"""

from reconciler.targets.kubernetes.client.errors import KubeError, Reason
from reconciler.targets.kubernetes.client.kube import KubeClient

__all__ = ["KubeClient", "KubeError", "Reason"]
