"""The runtime's errors, raised while a version is packed, verified, loaded, checked or served. The caller shows them:
`cli.py` as the reason why the process ends, `server/` as a JSON answer; the reconciler wraps them in its own error.
"""

from __future__ import annotations

from collections.abc import Mapping


class RuntimeFault(Exception):  # noqa: N818 - the root of a family, named apart from the builtin RuntimeError
    """A constant `summary`, and a `detail` that says what, why and how to fix it."""

    code: str = "runtime"

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
    """A manifest that is absent or malformed, or that names what no manifest may name."""

    code = "manifest"


class DigestMismatch(RuntimeFault):
    """Bytes that differ from the pinned ones. `expected` and `found` are hex sha256, or "absent"."""

    code = "digest_mismatch"

    def __init__(self, file: str, expected: str, found: str) -> None:
        super().__init__(
            "The bytes are not those that were pinned", f"{file}: expected sha256 {expected}, found {found}"
        )
        self.file = file
        self.expected = expected
        self.found = found


class PackError(RuntimeFault):
    """A folder that can't be packed, or an archive that can't be unpacked safely."""

    code = "pack"


class RequirementsError(RuntimeFault):
    """Packages of a version's requirements that can't be installed."""

    code = "requirements"


class ModelError(RuntimeFault):
    """A model that can't be loaded; the detail quotes the cause."""

    code = "model"


class CheckFailed(RuntimeFault):
    """A check that the model did not answer as expected."""

    code = "check_failed"


class SettingsError(RuntimeFault):
    """An option or environment variable that can't be used."""

    code = "settings"


class ServerEnded(RuntimeFault):
    """A server process that ended without a signal to stop: what the supervisor reports. `code` as the server gave it,
    else "crashed", "killed", "exited" or "model_hung"."""

    def __init__(self, code: str, summary: str, detail: str, *, exit_code: int = 1) -> None:
        super().__init__(summary, detail)
        self.code = code
        self.exit_code = exit_code


class ModelHung(RuntimeFault):
    """A call of the model that has not ended long after its time limit."""

    code = "model_hung"


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
    """Inputs that the model can't take."""

    code = "invalid_input"

    def __init__(self, reason: str, message: str, **fields: object) -> None:
        super().__init__(400, reason, message, **fields)
