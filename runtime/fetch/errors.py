"""Reasons why a version could not be fetched. `command.py` writes code and reason where Kubernetes shows them. Bytes
that differ from the pinned ones are a `DigestMismatch`, as everywhere.
"""

from __future__ import annotations

from typing import ClassVar

from runtime.errors import RuntimeFault


class FetchError(RuntimeFault):
    """The store refused in a way that has no class of its own. `retryable`: the same request may succeed later."""

    code = "store_refused"
    retryable: ClassVar[bool] = False


class ObjectAbsentError(FetchError):
    code = "object_absent"


class BucketAbsentError(FetchError):
    code = "bucket_absent"


class AccessDeniedError(FetchError):
    """Credentials that are absent, wrong, expired, or may not read the object."""

    code = "access_denied"


class UnreachableError(FetchError):
    """No answer, or one that ended too early."""

    code = "unreachable"
    retryable = True


class UntrustedError(FetchError):
    """A certificate that is not accepted."""

    code = "untrusted"


class StoreBusyError(FetchError):
    """The server asks to be called later, or fails."""

    code = "store_busy"
    retryable = True


class RangeBeyondEndError(FetchError):
    """The object ends before the first requested byte."""

    code = "range"


class DiskFullError(FetchError):
    code = "disk_full"


class DiskRefusedError(FetchError):
    code = "disk"
