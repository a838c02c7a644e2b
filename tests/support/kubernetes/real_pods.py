"""A cluster whose pods really run, as the environment names it, with an image, a Gateway and an S3 server for them.

KUBESERVE_TEST_S3_POD_ENDPOINT is where the S3 server answers to pods, if that is elsewhere than for the tests.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.stores.s3_servers import S3Server

VARIABLES = {
    "KUBESERVE_TEST_NODE_KUBECONFIG": "the kubeconfig of a cluster whose nodes run pods",
    "KUBESERVE_TEST_IMAGE": "the runtime image's name there",
    "KUBESERVE_TEST_GATEWAY": "a Gateway of it, NAMESPACE/NAME",
    "KUBESERVE_TEST_GATEWAY_URL": "where that answers",
    "KUBESERVE_TEST_S3_ENDPOINT": "a versitygw that its pods reach",
    "KUBESERVE_TEST_S3_ACCESS_KEY": "the key of that one's root account",
    "KUBESERVE_TEST_S3_SECRET_KEY": "its secret",
}


@dataclass(frozen=True)
class RealPods:
    """What the environment provides."""

    kubeconfig: Path
    image: str
    gateway: str
    gateway_url: str
    s3: S3Server
    pod_endpoint: str

    def store(self, bucket: str, prefix: str) -> dict[str, Any]:
        """The `artifactStore` of a platform.yaml."""
        return {
            "type": "s3",
            "bucket": bucket,
            "prefix": prefix,
            "endpoint": self.s3.endpoint,
            "podEndpoint": self.pod_endpoint,
            "pathStyle": True,
            "region": "us-east-1",
        }


def real_pods() -> RealPods:
    """Skips where something is missing, and says what."""
    missing = {name: meaning for name, meaning in VARIABLES.items() if not os.environ.get(name)}
    if missing:
        lines = "; ".join(f"{name}: {meaning}" for name, meaning in missing.items())
        pytest.skip(f"no cluster whose pods run. Name what is missing in the environment: {lines}")
    kubeconfig, image, gateway, gateway_url, endpoint, access_key, secret_key = (os.environ[name] for name in VARIABLES)
    pod_endpoint = os.environ.get("KUBESERVE_TEST_S3_POD_ENDPOINT") or endpoint
    s3 = S3Server(endpoint, access_key, secret_key)
    return RealPods(Path(kubeconfig), image, gateway, gateway_url, s3, pod_endpoint)
