"""What an S3 server's refusal means, and how to fix it, for `store.py`.

Error codes decide first, then HTTP statuses, because some servers, and all answers without a body, give no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.fetch.errors import (
    AccessDeniedError,
    BucketAbsentError,
    FetchError,
    ObjectAbsentError,
    RangeBeyondEndError,
    StoreBusyError,
)

NETWORK = (
    "Check the endpoint as pods reach it (`podEndpoint` in platform.yaml), the server, and whether the network policy "
    "lets pods out to it."
)
SETTINGS = "Check `artifactStore:` in platform.yaml."
_CREDENTIALS = "Check the Secret that `storeAccess` or `podAccess` names in platform.yaml."
_NOT_ALLOWED = (
    "Its credentials may not s3:GetObject there; or there is no such object, which S3 says only to those who may "
    f"s3:ListBucket. {_CREDENTIALS}"
)

_ANSWERS: Mapping[str, tuple[type[FetchError], str, str]] = {
    name: kind
    for names, kind in (
        ("AccessDenied AllAccessDisabled Forbidden 401 403", (AccessDeniedError, "Access denied", _NOT_ALLOWED)),
        (
            "InvalidAccessKeyId SignatureDoesNotMatch InvalidToken InvalidClientTokenId",
            (AccessDeniedError, "Credentials are not accepted", _CREDENTIALS),
        ),
        (
            "ExpiredToken ExpiredTokenException RequestExpired",
            (AccessDeniedError, "Credentials have expired", f"Renew them. {_CREDENTIALS}"),
        ),
        ("NoSuchBucket", (BucketAbsentError, "No such bucket", f"Create it, or correct its name. {SETTINGS}")),
        ("NoSuchKey 404", (ObjectAbsentError, "No such object", "It was never there, or has been deleted.")),
        ("InvalidRange 416", (RangeBeyondEndError, "The object is shorter than it should be", "")),
        (
            "PermanentRedirect IllegalLocationConstraintException AuthorizationHeaderMalformed 301",
            (FetchError, "Wrong region or endpoint", f"They have to be those of the bucket. {SETTINGS}"),
        ),
        (
            "RequestTimeTooSkewed",
            (FetchError, "Clocks differ too much", "The server refuses the node's time: synchronise it (NTP)."),
        ),
        (
            "SlowDown RequestTimeout 429 500 502 503 504",
            (StoreBusyError, "The store is busy", "It asked to be called later, also at the last of several tries."),
        ),
    )
    for name in names.split()
}
_REFUSED = (FetchError, "The store refused", "The server's log says more.")


def refusal(response: Mapping[str, Any], operation: str, at: str) -> FetchError:
    """The error of an answer (as botocore parsed it) to an operation at a place."""
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    by_status = _ANSWERS.get(str(status)) or (_ANSWERS["500"] if status >= 500 else _REFUSED)
    error, summary, advice = _ANSWERS.get(code) or by_status
    said = f"{code} (HTTP {status})" if code.isalnum() and not code.isdigit() else f"HTTP {status}"
    return error(summary, f"{operation} of {at}: the server answered {said}. {advice}".rstrip())
