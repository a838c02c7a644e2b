"""The store that platform.yaml names. Called once for each command, by `workspace.py`."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from reconciler.artifacts.protocol import ArtifactStore
from specs.models import platform


def open_store(spec: platform.ArtifactStoreSpec, base: Path) -> ArtifactStore:
    """Opens nothing yet. `base`: where a relative path of platform.yaml starts from."""
    match spec:
        case platform.FilesystemStoreSpec():
            from reconciler.artifacts.filesystem import FilesystemStore

            return FilesystemStore(base / spec.path)
        case platform.S3StoreSpec():
            from reconciler.artifacts.s3.client import S3Settings
            from reconciler.artifacts.s3.store import S3Store

            return S3Store(spec.bucket, spec.prefix, S3Settings(spec.endpoint, spec.region, spec.path_style))
        case _:
            assert_never(spec)
