"""The types of single values that both files are made of, and the base of all their models.

A value arrives as YAML parsed it and becomes a plain number or string. An invalid one raises a Refusal, which
`messages.py` turns into a Problem at its place.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, Strict, WithJsonSchema
from pydantic.alias_generators import to_camel

from specs import names
from specs.models import quantities

API_VERSION: Final = "kubeserve.io/v1"


class Model(BaseModel):
    """Frozen, camelCase in YAML, no unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


def _text(pattern: str, max_length: int, description: str) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "pattern": f"^{pattern}$", "maxLength": max_length}
    return WithJsonSchema({**schema, "description": description})


def _quantity(pattern: str, description: str) -> WithJsonSchema:
    text = {"type": "string", "pattern": f"^{pattern}$"}
    return WithJsonSchema({"anyOf": [text, {"type": "number", "minimum": 0}], "description": description})


# Types are strict, as YAML parsed them: true is no number, and "5" is text.
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Boolean = Annotated[bool, Strict()]

TenantName = Annotated[
    str,
    AfterValidator(names.check_tenant),
    _text(names.LABEL_PATTERN, names.MAX_NAME, "A tenant's name: lower-case letters, digits and '-'."),
]
ModelName = Annotated[
    str,
    AfterValidator(lambda name: names.check_label(name, "model")),
    _text(names.LABEL_PATTERN, names.MAX_NAME, "A model's name: lower-case letters, digits and '-'."),
]
DeploymentName = Annotated[
    str,
    AfterValidator(lambda name: names.check_label(name, "deployment")),
    _text(names.LABEL_PATTERN, names.MAX_NAME, "A deployment's name: lower-case letters, digits and '-'."),
]
VersionName = Annotated[
    str,
    AfterValidator(names.check_version),
    _text(names.VERSION_PATTERN, names.MAX_VERSION, 'A version\'s name. Quote what looks like a number: "1.10".'),
]
EnvName = Annotated[
    str,
    AfterValidator(names.check_env_name),
    _text(names.ENV_PATTERN, names.MAX_ENV_NAME, "An environment variable's name."),
]

Cpu = Annotated[
    int,
    BeforeValidator(quantities.parse_cpu),
    PlainSerializer(quantities.format_cpu, return_type=str, when_used="json"),
    _quantity(quantities.CPU_PATTERN, "Cores, like 2, or thousandths of one, like 500m."),
]
Memory = Annotated[
    int,
    BeforeValidator(quantities.parse_memory),
    PlainSerializer(quantities.format_memory, return_type=str, when_used="json"),
    _quantity(quantities.MEMORY_PATTERN, "Bytes, with a unit: 512Mi, 4Gi."),
]
Duration = Annotated[
    float,
    BeforeValidator(quantities.parse_duration),
    PlainSerializer(quantities.format_duration, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{quantities.DURATION_PATTERN}$", "description": "A duration: 60s, 5m."}
    ),
]
