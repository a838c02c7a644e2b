"""The parts of a deployment besides its versions: replicas, resources, environment, checks, timeouts.

Parts of the models in `tenant.py`, which is where others import them from.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, GetJsonSchemaHandler, Tag, WithJsonSchema, model_validator

from specs.models import quantities
from specs.models.fields import Cpu, Duration, Integer, Memory, Model, Number
from specs.names import LABEL_PATTERN
from specs.problems import Refusal

MAX_REPLICAS = 1_000
MAX_ENV_VALUE = 32 * 1024
MIN_CPU, MAX_CPU = 10, 256_000  # millicores
MIN_MEMORY, MAX_MEMORY = 32 * 2**20, 4 * 2**40
MIN_TIMEOUT, MAX_TIMEOUT = 1.0, 86_400.0

DEFAULT_CPU = 500
DEFAULT_MEMORY = 512 * 2**20
DEFAULT_MAX_REPLICAS = 5
DEFAULT_READY_TIMEOUT = 120.0
DEFAULT_DRAIN_TIMEOUT = 30.0
DEFAULT_REQUEST_TIMEOUT = 30.0
DEFAULT_TOLERANCE = 1e-6


class ReplicasSpec(Model):
    """How many replicas of a variant run. A plain number sets both `min` and `max`; `max` defaults to `min`."""

    min: Annotated[Integer, Field(ge=1, le=MAX_REPLICAS)] = 1
    """The smallest number of replicas."""
    max: Annotated[Integer, Field(ge=1, le=MAX_REPLICAS)] = 1
    """The largest number, if an autoscaler decides; `min` by default."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"min": value, "max": value}
        if isinstance(value, dict):
            return {**value, "max": value["min"]} if "min" in value and "max" not in value else value
        raise Refusal(
            "replicas", "Not a number of replicas", "Write a number, like 2, or a range, like {min: 1, max: 5}."
        )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise Refusal(
                "replicas-order",
                "More replicas at least than at most",
                f"'min: {self.min}' is more than 'max: {self.max}'.",
                ("min",),
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 1, "maximum": MAX_REPLICAS}
        return {"anyOf": [number, handler(core_schema)], "description": "A number, or {min: 1, max: 5}."}


def _check_cpu(millicores: int) -> int:
    if MIN_CPU <= millicores <= MAX_CPU:
        return millicores
    bounds = f"between {quantities.format_cpu(MIN_CPU)} and {quantities.format_cpu(MAX_CPU)} cores"
    hint = f" Did you mean {millicores // 1000}m?" if millicores > MAX_CPU else ""
    raise Refusal("cpu-bounds", "Amount of CPU out of bounds", f"A replica has {bounds}.{hint}")


def _check_memory(size: int) -> int:
    if MIN_MEMORY <= size <= MAX_MEMORY:
        return size
    bounds = f"between {quantities.format_memory(MIN_MEMORY)} and {quantities.format_memory(MAX_MEMORY)}"
    hint = f" A number without a unit is bytes: did you mean {size}Mi?" if 0 < size < 2**20 else ""
    raise Refusal("memory-bounds", "Amount of memory out of bounds", f"A replica has {bounds} of memory.{hint}")


class Resources(Model):
    """What one replica may use."""

    cpu_millicores: Annotated[Cpu, AfterValidator(_check_cpu)] = Field(
        default=DEFAULT_CPU, validation_alias="cpu", serialization_alias="cpu"
    )
    """CPU of one process; this also sets its number of threads."""
    memory_bytes: Annotated[Memory, AfterValidator(_check_memory)] = Field(
        default=DEFAULT_MEMORY, validation_alias="memory", serialization_alias="memory"
    )
    """Memory of one process."""


class SecretRefSpec(Model):
    """A value that is kept elsewhere: in a Secret of the tenant's namespace, or in .kubeserve/secrets/SECRET/KEY."""

    secret: Annotated[str, Field(max_length=253, pattern=rf"^{LABEL_PATTERN}(\.{LABEL_PATTERN})*$")]
    """The secret's name."""
    key: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
    """The key of the value in the secret."""


# Unquoted numbers and booleans are kept as written.
_ENV_TEXT = {"anyOf": [{"type": "string", "maxLength": MAX_ENV_VALUE}, {"type": "number"}, {"type": "boolean"}]}


def _env_kind(value: Any) -> str:
    return "reference" if isinstance(value, dict | SecretRefSpec) else "text"


def _check_env_value(value: str) -> str:
    if "\0" in value or len(value) > MAX_ENV_VALUE:
        raise Refusal(
            "env-value",
            "Value can't be in an environment",
            f"A value has at most {MAX_ENV_VALUE} characters, none of them NUL.",
        )
    return value


EnvValue = Annotated[
    Annotated[str, AfterValidator(_check_env_value), Tag("text"), WithJsonSchema(_ENV_TEXT)]
    | Annotated[SecretRefSpec, Tag("reference")],
    Discriminator(_env_kind),
]


class Check(Model):
    """A request that a new variant must answer before it gets traffic, and the expected answer."""

    inputs: Annotated[tuple[Any, ...], Field(min_length=1)]
    """The rows to predict, as in a prediction request."""
    outputs: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    """The expected predictions, one for each row; if absent, any successful answer passes."""
    tolerance: Annotated[Number, Field(ge=0, allow_inf_nan=False)] = DEFAULT_TOLERANCE
    """The largest difference between an expected and a predicted number."""

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.outputs is not None and len(self.outputs) != len(self.inputs):
            raise Refusal(
                "check-lengths",
                "Not one output for each input",
                f"The check asks for {len(self.inputs)} predictions and lists {len(self.outputs)}. "
                "Leave `outputs:` out to accept any good answer.",
                ("outputs",),
            )
        for field in ("inputs", "outputs"):
            if not _is_finite(getattr(self, field)):
                raise Refusal(
                    "check-not-json",
                    "Not a number of JSON",
                    "Inputs and outputs travel as JSON, which has neither .nan nor .inf.",
                    (field,),
                )
        return self


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list | tuple) else True


def _check_timeout(seconds: float) -> float:
    if MIN_TIMEOUT <= seconds <= MAX_TIMEOUT:
        return seconds
    bounds = f"{quantities.format_duration(MIN_TIMEOUT)} to {quantities.format_duration(MAX_TIMEOUT)}"
    raise Refusal("timeout-bounds", "Timeout out of bounds", f"Timeouts are from {bounds}.")


Timeout = Annotated[Duration, AfterValidator(_check_timeout)]


class Timeouts(Model):
    """Time limits, in seconds."""

    ready: Timeout = DEFAULT_READY_TIMEOUT
    """For a new process to load its model and pass its checks."""
    drain: Timeout = DEFAULT_DRAIN_TIMEOUT
    """For a stopping process to answer its open requests."""
    request: Timeout = DEFAULT_REQUEST_TIMEOUT
    """For one request."""
