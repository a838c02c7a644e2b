"""The one place that imports boto3, and only when a client is made. Used by `bucket.py` alone.

Credentials come from boto3's usual chain: environment, profile, container, instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.artifacts.protocol import StoreError
from reconciler.artifacts.s3.errors import translated

S3Client = Any  # botocore makes the class at run time

CONNECT_SECONDS = 10
READ_SECONDS = 60
POOL = 32


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How to reach a server. Without an endpoint: AWS, or what AWS_ENDPOINT_URL names."""

    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False
    attempts: int = 5  # tries of one request, including the first; the pauses between them grow


def make_client(settings: S3Settings) -> S3Client:
    """A client of its own session, safe to share between threads. Opens no connection."""
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": settings.attempts},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=POOL,
        tcp_keepalive=True,
        s3={"addressing_style": "path" if settings.path_style else "auto"},
        # Uploads carry checksums that we compute. boto3 would send its own as trailers, which older servers refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="kubeserve",
    )
    with translated("s3:", settings.endpoint):
        session = boto3.session.Session()
        try:
            return session.client("s3", endpoint_url=settings.endpoint, region_name=settings.region, config=config)
        except ValueError:  # it would repeat the URL
            raise StoreError("Artifact store's endpoint is no URL", "Write `endpoint:` as https://host.") from None


def transfer_config(part_bytes: int, workers: int) -> Any:
    """For boto3's own downloads: ranges in parallel, and a bounded queue between network and disk."""
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=2 * part_bytes,
        multipart_chunksize=part_bytes,
        max_concurrency=workers,
        max_io_queue=32,  # of 256 KiB; the default of 1,000 would hold 256 MB where the disk is slow
    )
