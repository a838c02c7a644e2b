"""What tests of rendering share: a platform, graphs rendered for it, and objects held to Kubernetes's own schemas."""

from __future__ import annotations

from functools import cache
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils

from specs.loading.loader import load_platform
from specs.models.platform import Platform

IMAGE = "registry.example.org/kubeserve-runtime:1.0"
MINORS = ("1.33", "1.34", "1.35", "1.36")
NO_SCHEMA = frozenset({"HTTPRoute", "ServiceMonitor"})  # custom resources; an API server judges them elsewhere

utils.schema_contents = cache(utils.schema_contents)  # 5 MB of JSON, read for every object otherwise


def platform(more: str = "") -> Platform:
    """A platform of two tenants; `more`: further lines of platform.yaml."""
    text = f"""
apiVersion: kubeserve.io/v1
installation: prod
target: kubernetes
runtime: {{image: "{IMAGE}", pullSecret: kubeserve/registry}}
artifactStore:
  {{type: s3, bucket: ml-models, prefix: models/, endpoint: "https://s3.example.org", pathStyle: true,
   podEndpoint: "http://s3.storage.svc:9000", podAccess: {{secret: kubeserve/store-read}}}}
{more}"""
    return load_platform("platform.yaml", text.encode())


def assert_valid(one: dict[str, Any]) -> None:
    """Strictly, so unknown fields are errors, against the last four minor versions."""
    if one["kind"] in NO_SCHEMA:
        return
    for minor in MINORS:
        kubernetes_validate.validate(one, minor, strict=True)
