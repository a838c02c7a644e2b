"""A process that holds an installation's Lease until it is killed, for `tests/e2e/test_kube_lease.py`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.lease import held_lease

if __name__ == "__main__":
    kubeconfig, namespace, installation, seconds = sys.argv[1:]
    kube = KubeClient(ClusterSettings(Path(kubeconfig)))
    with held_lease(kube, namespace, installation, "kubeserve apply", 0.0, seconds=float(seconds)):
        print("held", flush=True)
        signal.pause()
