"""What boto3 raises becomes an error that says what to do, and repeats nothing that may be secret."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from reconciler.artifacts.protocol import StoreError
from reconciler.artifacts.s3.client import S3Settings, make_client
from reconciler.artifacts.s3.errors import AccessDeniedError, ObjectAbsentError, ObjectHeldError, translated

PLACE = "s3://models/fraud/"


def raised(error: Exception, endpoint: str | None = None) -> StoreError:
    with pytest.raises(StoreError) as caught, translated(PLACE, endpoint):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def answered(code: str, status: int = 400, operation: str = "PutObject", **more: Any) -> StoreError:
    from botocore.exceptions import ClientError

    response: Any = {"Error": {"Code": code, **more}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return raised(ClientError(response, operation))


@pytest.mark.parametrize(
    ("code", "status", "summary", "retryable"),
    [
        ("AccessDenied", 403, "Access denied", False),
        ("403", 403, "Access denied", False),
        ("InvalidAccessKeyId", 403, "Credentials are not accepted", False),
        ("SignatureDoesNotMatch", 403, "Credentials are not accepted", False),
        ("ExpiredToken", 400, "Credentials have expired", False),
        ("NoSuchBucket", 404, "No such bucket", False),
        ("PermanentRedirect", 301, "Wrong region or endpoint", False),
        ("RequestTimeTooSkewed", 403, "Clocks differ too much", False),
        ("XMinioStorageFull", 507, "No space left", False),
        ("SlowDown", 503, "Artifact store is busy", True),
        ("SomethingOfItsOwn", 599, "Artifact store is busy", True),
        ("BadDigest", 400, "Bytes were damaged on their way", True),
        ("NoSuchUpload", 404, "Upload was ended by somebody else", True),
        ("ConditionalRequestConflict", 409, "Object is being written by somebody else", True),
        ("SomethingOfItsOwn", 400, "Artifact store refused", False),
    ],
)
def test_an_answer_of_the_server_is_told_by_its_code(code: str, status: int, summary: str, retryable: bool) -> None:
    error = answered(code, status)
    assert (error.summary, error.retryable) == (summary, retryable)
    assert f"PutObject of {PLACE}: the server answered" in error.detail
    assert f"HTTP {status}" in error.detail


def test_kinds_that_a_store_acts_on_are_classes_of_their_own() -> None:
    assert isinstance(answered("NoSuchKey", 404), ObjectAbsentError)
    assert isinstance(answered("404", 404, "HeadObject"), ObjectAbsentError)
    assert isinstance(answered("PreconditionFailed", 412), ObjectHeldError)
    assert isinstance(answered("AccessDenied", 403), AccessDeniedError)


@pytest.mark.parametrize(
    ("operation", "permission"),
    [("UploadPart", "s3:PutObject"), ("HeadObject", "s3:GetObject"), ("ListObjectsV2", "s3:ListBucket")],
)
def test_a_denied_operation_names_the_permission_that_lacks(operation: str, permission: str) -> None:
    assert f"may not {permission} there" in answered("AccessDenied", 403, operation).detail


def test_nothing_that_a_server_says_is_repeated_but_its_code() -> None:
    error = answered("SignatureDoesNotMatch", 403, Message="key AKIASECRET", AWSAccessKeyId="AKIASECRET")
    assert "AKIASECRET" not in str(error)
    assert "AKIASECRET" not in str(answered("<AKIASECRET>", 400))


def test_credentials_in_an_endpoint_are_not_repeated() -> None:
    from botocore.exceptions import EndpointConnectionError

    endpoint = "http://user:hunter2@store.example.org:9000"
    error = raised(EndpointConnectionError(endpoint_url=endpoint), endpoint)
    assert "hunter2" not in str(error)
    assert "http://store.example.org:9000" in error.detail


def boto_errors() -> list[tuple[Exception, str, bool]]:
    from boto3.exceptions import RetriesExceededError
    from botocore import exceptions as boto

    url = "https://store.example.org"
    return [
        (boto.NoCredentialsError(), "No credentials for the artifact store", False),
        (boto.PartialCredentialsError(provider="env", cred_var="x"), "No credentials for the artifact store", False),
        (boto.TokenRetrievalError(provider="sso", error_msg="x"), "Credentials have expired", False),
        (boto.UnauthorizedSSOTokenError(), "Credentials have expired", False),
        (boto.ProfileNotFound(profile="x"), "Artifact store is misconfigured", False),
        (boto.SSLError(endpoint_url=url, error="x"), "Artifact store's certificate is not trusted", False),
        (boto.EndpointConnectionError(endpoint_url=url), "Artifact store is unreachable", True),
        (boto.ConnectTimeoutError(endpoint_url=url), "Artifact store is unreachable", True),
        (boto.ReadTimeoutError(endpoint_url=url), "Artifact store is unreachable", True),
        (boto.ConnectionClosedError(endpoint_url=url), "Artifact store is unreachable", True),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), "Artifact store is unreachable", True),
        (RetriesExceededError(OSError()), "Artifact store is unreachable", True),
        (ConnectionResetError(), "Artifact store is unreachable", True),
    ]


@pytest.mark.parametrize(("error", "summary", "retryable"), boto_errors(), ids=lambda v: type(v).__name__)
def test_what_boto_raises_without_an_answer_is_told_by_its_class(
    error: Exception, summary: str, retryable: bool
) -> None:
    found = raised(error, "https://store.example.org")
    assert (found.summary, found.retryable) == (summary, retryable)
    assert f"{PLACE} at https://store.example.org" in found.detail


@pytest.mark.parametrize("error", [FileNotFoundError("cache"), KeyError("a bug"), StoreError("ours")])
def test_what_is_not_botos_passes_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, translated(PLACE):
        raise error
    assert caught.value is error


def test_an_endpoint_that_is_no_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(StoreError, match="endpoint is no URL") as caught:
        make_client(S3Settings("user:hunter2@store"))
    assert "hunter2" not in str(caught.value)


def test_the_protocol_and_both_stores_are_light_until_they_are_used() -> None:
    modules = "reconciler.artifacts.protocol, reconciler.artifacts.factory, reconciler.artifacts.s3.bucket"
    heavy = "{'boto3', 'botocore', 'urllib3', 'filelock', 's3transfer'}"
    script = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
