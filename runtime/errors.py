"""The runtime's errors. They are raised while a version is packed, verified, loaded, checked or asked, and
shown by whoever called: `cli.py` as the reason why the process ends, `server/` as a JSON answer, the
reconciler wrapped in its own error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class RuntimeFault(Exception):  # noqa: N818 - the root of a family, named apart from the builtin RuntimeError
    """A constant `summary`, and a `detail` that says what, why and how to mend it."""

    code: ClassVar[str] = "runtime"

    def __init__(self, summary: str, detail: str = "") -> None:
        super().__init__(summary, detail)
        self.summary = summary
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.summary}: {self.detail}" if self.detail else self.summary


class FormatError(RuntimeFault):
    """A file whose name or first bytes are not those of a model format that can be served."""

    code = "format"


class ManifestError(RuntimeFault):
    """A manifest that is absent, malformed, or names what a manifest can't name."""

    code = "manifest"


class DigestMismatch(RuntimeFault):
    """Bytes that are not those that were pinned. `expected` and `found` are hex sha256, or "absent"."""

    code = "digest_mismatch"

    def __init__(self, file: str, expected: str, found: str) -> None:
        super().__init__(
            "The bytes are not those that were pinned", f"{file}: expected sha256 {expected}, found {found}"
        )
        self.file = file
        self.expected = expected
        self.found = found


class PackError(RuntimeFault):
    """A folder that can't be packed, or an archive that is refused while it is unpacked."""

    code = "pack"


class RequirementsError(RuntimeFault):
    """Packages that a version asks for and that can't be installed."""

    code = "requirements"


class ModelError(RuntimeFault):
    """A model that can't be loaded; the detail quotes the cause."""

    code = "model"


class CheckFailed(RuntimeFault):
    """A check that the model answered otherwise than it should."""

    code = "check_failed"


class SettingsError(RuntimeFault):
    """An option or environment variable that can't be used."""

    code = "settings"


class RequestFault(RuntimeFault):
    """A request that gets no prediction: an HTTP status, and a JSON answer of `reason` (a constant for
    programs), message and `fields`."""

    code = "request"

    def __init__(self, status: int, reason: str, message: str, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.fields: Mapping[str, object] = fields


class InputError(RequestFault):
    """Inputs that the model can't be asked."""

    code = "invalid_input"

    def __init__(self, reason: str, message: str, **fields: object) -> None:
        super().__init__(400, reason, message, **fields)
