"""The JSON Schema of both files, for editors: committed beside this module, printed by `kubeserve schema`.

Editors use it to complete and check while the user types; the loader checks more than a schema can.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from pydantic import TypeAdapter

from specs.models.fields import Model
from specs.models.platform import Platform
from specs.models.tenant import TenantFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def tenant_schema() -> dict[str, Any]:
    """The schema of kubeserve.yaml."""
    return _schema(TenantFile, "kubeserve.yaml")


def platform_schema() -> dict[str, Any]:
    """The schema of platform.yaml."""
    return _schema(Platform, "platform.yaml")


def as_text(schema: dict[str, Any]) -> str:
    """A schema as it is committed."""
    return json.dumps(schema, indent=2) + "\n"


def _schema(model: type[Model], title: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    models = {each.__name__: each for each in _models(Model)}
    _describe(schema, model)
    for name, definition in schema["$defs"].items():
        if name in models:
            _describe(definition, models[name])
    tidied: dict[str, Any] = _tidy(schema)
    return {"$schema": DIALECT, **tidied, "title": title}


def _describe(schema: dict[str, Any], model: type[Model]) -> None:
    """Adds the docstrings of a model's fields, which are only parsed here, and defaults as a user would write them."""
    documented = _field_docstrings(model)
    mapping: dict[str, Any] = next((part for part in (schema, *schema.get("anyOf", ())) if "properties" in part), {})
    for name, field in model.model_fields.items():
        shown = mapping.get("properties", {}).get(str(field.validation_alias))
        if shown is None:
            continue
        shown.pop("title", None)
        shown.pop("default", None)
        if name in documented:
            shown["description"] = documented[name]
        if not field.is_required() and (default := field.get_default(call_default_factory=True)) is not None:
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            shown["default"] = adapter.dump_python(default, mode="json", by_alias=True, exclude_none=True)


def _tidy(node: Any) -> Any:
    """Describes what a user writes: drops null, which only means an absent field, and gives all names one pattern."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _tidy(value) for key, value in node.items()}
    if {"type": "null"} in node.get("anyOf", ()):
        [shown] = [choice for choice in node.pop("anyOf") if choice != {"type": "null"}]
        return {**shown, **node}
    if len(patterns := node.get("patternProperties", {})) == 1:
        [(pattern, values)] = patterns.items()
        del node["patternProperties"]
        node["additionalProperties"] = values
        node["propertyNames"] = {**node.get("propertyNames", {}), "pattern": pattern}
    return node


def _field_docstrings(model: type[Model]) -> dict[str, str]:
    [definition] = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - for the type checker
    return {
        field.target.id: inspect.cleandoc(comment.value.value)
        for field, comment in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(comment, ast.Expr)
        and isinstance(comment.value, ast.Constant)
        and isinstance(comment.value.value, str)
    }


def _models(parent: type[Model]) -> Iterator[type[Model]]:
    for child in parent.__subclasses__():
        yield child
        yield from _models(child)
