"""Reads ranges of a bucket's objects. The only module of the runtime that imports boto3.

A message names the operation, the place and the server's error code, but never quotes text from outside, because such
text contains access keys and signed requests.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.errors import SettingsError
from runtime.fetch.answers import NETWORK, SETTINGS, refusal
from runtime.fetch.errors import AccessDeniedError, FetchError, UnreachableError, UntrustedError
from runtime.fetch.settings import Place

CONNECT_SECONDS = 5
READ_SECONDS = 30  # without a byte
POOL = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of an object from the requested start, and the size of the whole object."""

    data: bytes
    total: int


class Store(Protocol):
    def where(self, key: str) -> str:
        """An object's place, for messages."""

    def read(self, key: str, start: int, length: int) -> Piece:
        """At most `length` bytes from `start` on. FetchError; RangeBeyondEndError where the object ends before."""


class S3:
    """Safe to share between threads. One try a request: who calls decides on more."""

    def __init__(self, place: Place) -> None:
        """Opens no connection. SettingsError when boto3 refuses the settings."""
        import boto3
        from botocore.config import Config

        self._place = place
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=POOL,
            tcp_keepalive=True,
            s3={"addressing_style": "path" if place.path_style else "auto"},
            response_checksum_validation="when_required",
            user_agent_extra="kubeserve-fetch",
        )
        with self._calling("the store"):
            try:
                self._client = boto3.session.Session().client(
                    "s3", endpoint_url=place.endpoint, region_name=place.region, config=config
                )
            except ValueError as error:  # whose text may repeat the URL
                raise SettingsError("Bad setting", f"boto3 refuses them: {type(error).__name__}.") from None

    def where(self, key: str) -> str:
        return f"s3://{self._place.bucket}/{self._place.prefix}{key}"

    def read(self, key: str, start: int, length: int) -> Piece:
        with self._calling(self.where(key)):
            answer = self._client.get_object(
                Bucket=self._place.bucket, Key=self._place.prefix + key, Range=f"bytes={start}-{start + length - 1}"
            )
            with closing(answer["Body"]) as body:
                total = _total(answer, start, length)
                return Piece(body.read(), total)

    @contextmanager
    def _calling(self, place: str) -> Generator[None]:
        """Whatever boto3 raises, as a FetchError about a place."""
        from botocore import exceptions as boto

        at = f"{place} at {self._place.endpoint}" if self._place.endpoint else place
        try:
            yield
        except boto.ClientError as error:
            raise refusal(error.response, error.operation_name, at) from error
        except boto.SSLError as error:
            raise UntrustedError(
                "The store's certificate is not trusted",
                f"{at}: {type(error).__name__}. If its authority is your own, name its certificate by AWS_CA_BUNDLE.",
            ) from error
        except (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError) as error:
            raise UnreachableError("The store can't be reached", f"{at}: {type(error).__name__}. {NETWORK}") from error
        except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
            raise AccessDeniedError(
                "No credentials for the store",
                f"{at}: {type(error).__name__}. Give the pod `storeAccess` or `podAccess` (platform.yaml), or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            ) from error
        except (boto.BotoCoreError, OSError) as error:
            raise FetchError("The store can't be used", f"{at}: {type(error).__name__}. {SETTINGS}") from error


def _total(answer: Mapping[str, Any], start: int, length: int) -> int:
    """The object's size. FetchError for a server that sends more or other bytes than the requested ones."""
    sent, _, total = str(answer.get("ContentRange", "")).rpartition("/")
    if total.isdecimal() and sent == f"bytes {start}-{min(start + length, int(total)) - 1}":
        return int(total)
    if not sent and start == 0 and answer["ContentLength"] <= length:
        return int(answer["ContentLength"])
    raise FetchError("The store can't send parts of an object", "It ignores the header Range, or doesn't say its size.")
