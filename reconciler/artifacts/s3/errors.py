"""Turns boto3's exceptions into StoreErrors. `bucket.py` makes every call inside `translated`.

A message names the operation, the place and the server's error code, and never repeats foreign text, which
may hold access keys, signed requests and endpoint URLs. boto3's exceptions are recognised by name, so that boto3
needn't be imported here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from reconciler.artifacts.protocol import StoreError


class AccessDeniedError(StoreError):
    """Credentials that are absent, wrong, expired, or lack a permission."""

    code = "store_access_denied"


class ObjectAbsentError(StoreError):
    code = "store_object_absent"


class ObjectHeldError(StoreError):
    """A conditional write that found an object there (412)."""

    code = "store_object_held"


class WriteConflictError(StoreError):
    """Another write of the same object is under way (409)."""

    code = "store_write_conflict"


class DamagedError(StoreError):
    """Bytes that did not arrive as they were sent; the server refused them."""

    code = "store_damaged"


class NotSupportedError(StoreError):
    """The server does not know this operation or header (501)."""

    code = "store_not_supported"


class UploadGoneError(StoreError):
    """A multipart upload that was completed, or aborted by somebody else."""

    code = "store_upload_gone"


@contextmanager
def translated(place: str, endpoint: str | None = None) -> Generator[None]:
    """Turns boto3's exceptions into a StoreError that says what failed at `place` (`s3://bucket/key`)."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        found = _store_error(error, place, endpoint)
        if found is None:
            raise
        raise found from error


@dataclass(frozen=True, slots=True)
class _Kind:
    names: str  # error codes, HTTP statuses, and boto3's exceptions including their subclasses
    summary: str
    advice: str
    error: type[StoreError] = StoreError
    retryable: bool = False


_BUSY = _Kind(
    "SlowDown ServiceUnavailable InternalError RequestTimeout 429 500 502 503 504",
    "Artifact store is busy",
    "It asked to be called later, and was, several times.",
    retryable=True,
)
_REFUSED = _Kind("", "Artifact store refused", "The server's log says more.")
_KINDS = (
    _Kind(
        "AccessDenied AllAccessDisabled AccountProblem Forbidden 401 403",
        "Access denied",
        "The credentials in use may not {permission} there.",
        AccessDeniedError,
    ),
    _Kind(
        "InvalidAccessKeyId SignatureDoesNotMatch InvalidToken InvalidClientTokenId",
        "Credentials are not accepted",
        "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in use.",
        AccessDeniedError,
    ),
    _Kind(
        "ExpiredToken ExpiredTokenException TokenRefreshRequired RequestExpired TokenRetrievalError SSOError "
        "LoginError",
        "Credentials have expired",
        "Renew them (log in again), then repeat the command.",
        AccessDeniedError,
    ),
    _Kind(
        "NoCredentialsError PartialCredentialsError CredentialRetrievalError",
        "No credentials for the artifact store",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is granted.",
        AccessDeniedError,
    ),
    _Kind("NoSuchBucket", "No such bucket", "Create it, or correct `bucket:` and `endpoint:` in platform.yaml."),
    _Kind("NoSuchKey 404", "No such object", "It was never there, or has been deleted.", ObjectAbsentError),
    _Kind("PreconditionFailed 412", "Object is there already", "Somebody else wrote it first.", ObjectHeldError),
    _Kind(
        "ConditionalRequestConflict OperationAborted 409",
        "Object is being written by somebody else",
        "Try again.",
        WriteConflictError,
        retryable=True,
    ),
    _Kind("NotImplemented 501", "Artifact store can't do that", "It lacks a part of the S3 API.", NotSupportedError),
    _Kind("NoSuchUpload", "Upload was ended by somebody else", "Try again.", UploadGoneError, retryable=True),
    _Kind(
        "PermanentRedirect IllegalLocationConstraintException AuthorizationHeaderMalformed 301",
        "Wrong region or endpoint",
        "Set `region:` (and `endpoint:`) of the artifact store to those of the bucket.",
    ),
    _Kind(
        "RequestTimeTooSkewed",
        "Clocks differ too much",
        "The server refuses this machine's time: synchronise it (NTP).",
    ),
    _Kind(
        "QuotaExceeded XMinioStorageFull InsufficientStorage 507",
        "No space left",
        "The store, or a quota of it, is full. Free space, or raise the quota.",
    ),
    _BUSY,
    _Kind(
        "BadDigest InvalidDigest XAmzContentSHA256Mismatch IncompleteBody",
        "Bytes were damaged on their way",
        "The server refused them by their checksum.",
        DamagedError,
        retryable=True,
    ),
    _Kind(
        "ConnectionError HTTPClientError IncompleteReadError RetriesExceededError",
        "Artifact store is unreachable",
        "Check `endpoint:` in platform.yaml, the network and the server.",
        retryable=True,
    ),
    _Kind(
        "SSLError",
        "Artifact store's certificate is not trusted",
        "If its authority is your own, name its certificate by AWS_CA_BUNDLE.",
    ),
    _Kind(
        "BotoCoreError Boto3Error",
        "Artifact store is misconfigured",
        "Check `artifactStore:` in platform.yaml, and the AWS_ variables and ~/.aws/config of this machine.",
    ),
)
_BY_NAME: Mapping[str, _Kind] = {name: kind for kind in _KINDS for name in kind.names.split()}

_PERMISSIONS = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}


def _store_error(error: Exception, place: str, endpoint: str | None) -> StoreError | None:
    """None for exceptions that aren't boto3's, such as disk errors of a download."""
    response: Mapping[str, Any] | None = getattr(error, "response", None)
    if response is not None:
        return _answered(response, getattr(error, "operation_name", "Request"), place)
    names = [cls.__name__ for cls in type(error).__mro__]
    kind = next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    if kind is None:
        return None
    where = f"{place} at {_public(endpoint)}" if endpoint else place
    return kind.error(kind.summary, f"{where}: {names[0]}. {kind.advice}", retryable=kind.retryable)


def _answered(response: Mapping[str, Any], operation: str, place: str) -> StoreError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = _BY_NAME.get(code) or _BY_NAME.get(str(status)) or (_BUSY if status >= 500 else _REFUSED)
    advice = kind.advice.format(permission=_PERMISSIONS.get(operation, f"s3:{operation}"))
    said = f"{code} (HTTP {status})" if code.isalnum() and not code.isdigit() else f"HTTP {status}"
    return kind.error(
        kind.summary, f"{operation} of {place}: the server answered {said}. {advice}", retryable=kind.retryable
    )


def _public(endpoint: str) -> str:
    """An endpoint without userinfo."""
    url = urlsplit(endpoint)
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
