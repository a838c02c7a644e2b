"""The JSON Schema that editors use is the one of the models, and agrees with the loader on what is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import specs
from specs.models.fields import Model
from specs.schema import as_text, platform_schema, tenant_schema

ROOM = Path(specs.__file__).parent


@pytest.mark.parametrize(
    ("name", "schema"),
    [("kubeserve.schema.json", tenant_schema()), ("platform.schema.json", platform_schema())],
    ids=["kubeserve", "platform"],
)
def test_the_committed_schema_is_not_stale(name: str, schema: dict[str, Any]) -> None:
    assert (ROOM / name).read_text() == as_text(schema), f"write it again: kubeserve schema … > specs/{name}"


@pytest.mark.parametrize("schema", [tenant_schema(), platform_schema()], ids=["kubeserve", "platform"])
def test_every_field_is_described_and_none_may_be_null(schema: dict[str, Any]) -> None:
    for name, definition in {**schema["$defs"], "file": schema}.items():
        for field, shown in definition.get("properties", {}).items():
            assert "description" in shown or field == "type", f"{name}.{field}"
    assert '"null"' not in json.dumps(schema)


def test_unknown_fields_and_names_are_marked_while_typing() -> None:
    schema = tenant_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["models"]["propertyNames"]["pattern"] == "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
    assert schema["$defs"]["DeploymentSpec"]["additionalProperties"] is False


def test_defaults_are_shown_as_one_would_write_them() -> None:
    properties = tenant_schema()["$defs"]["Resources"]["properties"]
    assert (properties["cpu"]["default"], properties["memory"]["default"]) == ("500m", "512Mi")
    assert tenant_schema()["$defs"]["Timeouts"]["properties"]["ready"]["default"] == "2m"


def test_no_model_is_called_like_another() -> None:
    names = [model.__name__ for model in _descendants(Model)]
    assert len(names) == len(set(names))


def _descendants(parent: type[Model]) -> list[type[Model]]:
    return [model for child in parent.__subclasses__() for model in (child, *_descendants(child))]
