"""The state file's content, as documented in docs/state.md, and its JSON form."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from reconciler.model.resources import ResourceId
from specs.errors import KubeServeError

STATE_VERSION = 1
HISTORY_LENGTH = 50  # rounds kept
KEPT_LOG_LINES = 20  # of a failed start


class StateError(KubeServeError):
    """The state file can't be read, was written by a newer KubeServe, or can't be written."""

    code = "state"


class Phase(StrEnum):
    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"  # the old content serves, the desired one does not
    FAILED = "Failed"  # nothing serves
    DELETING = "Deleting"


class Verdict(StrEnum):
    """How a whole round went."""

    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"  # a rollout kept its old version
    FAILED = "failed"  # something failed with nothing serving, or could not be removed
    INTERRUPTED = "interrupted"


FAILED_PHASES = frozenset({Phase.DEGRADED, Phase.FAILED})


@validated(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Record:
    """One resource as far as this installation dealt with it. Its being here is the claim on it."""

    phase: Phase
    desired: str = ""  # digest of what was last asked for
    applied: str = ""  # digest of what was last applied and answered
    reason: str = ""  # one CamelCase word, for programs
    message: str = ""  # one line, for people
    since: str = ""  # when it entered this phase, ISO 8601 in UTC
    url: str = ""
    attempts: int = 0  # failures of this same desired content
    retry_after: str = ""  # not before this time does a daemon try again
    log: tuple[str, ...] = ()  # last lines of the failed start
    round: str = ""  # id of the round that wrote this


@validated(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class RoundRecord:
    id: str
    revision: str
    started: str
    ended: str
    outcome: Verdict
    counts: dict[str, int] = field(default_factory=dict)  # action -> number of changes
    message: str = ""


@dataclass(frozen=True, slots=True)
class State:
    lineage: str  # born with the file; two states with different lineages are strangers
    serial: int = 0  # grows with every write
    installation: str = "default"
    target: str = ""
    resources: Mapping[ResourceId, Record] = field(default_factory=dict)
    rounds: tuple[RoundRecord, ...] = ()

    @classmethod
    def new(cls, installation: str, target: str) -> State:
        return cls(str(uuid.uuid4()), 0, installation, target)


@validated(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class _Document:
    version: int
    lineage: str
    serial: int
    installation: str
    target: str
    resources: dict[str, Record]
    rounds: tuple[RoundRecord, ...]


_DOCUMENT = TypeAdapter(_Document)


def to_bytes(state: State) -> bytes:
    document = {
        "version": STATE_VERSION,
        "lineage": state.lineage,
        "serial": state.serial,
        "installation": state.installation,
        "target": state.target,
        "resources": {str(resource): record for resource, record in state.resources.items()},
        "rounds": state.rounds,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def from_bytes(content: bytes, where: str) -> State:
    """Inverse of `to_bytes`. StateError for what isn't a state file of this version."""
    try:
        raw = orjson.loads(content)
        version = raw.get("version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > STATE_VERSION:
            raise StateError(
                "State file is of a newer KubeServe",
                f"{where} has version {version}; this KubeServe writes {STATE_VERSION}. Use the newer one.",
            )
        document = _DOCUMENT.validate_python(raw)
        resources = {ResourceId.parse(text): record for text, record in document.resources.items()}
    except (orjson.JSONDecodeError, ValidationError, ValueError) as error:
        raise StateError(
            "State file can't be read",
            f"{where} is not a state file: {_first_line(error)}. Move it away: what runs is found again by its marks, "
            "and the next round takes over what the specs ask for.",
        ) from error
    return State(document.lineage, document.serial, document.installation, document.target, resources, document.rounds)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]
