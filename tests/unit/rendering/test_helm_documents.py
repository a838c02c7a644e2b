"""Helm's output is read as a parser of YAML would read it, only faster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.targets.kubernetes.rendering.documents import parse
from reconciler.targets.kubernetes.rendering.errors import RenderError

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"


def output(*bodies: str, template: str = "c/templates/a.yaml") -> str:
    return "".join(f"---\n# Source: {template}\n{HEAD}{body}\n" for body in bodies)


def read(*bodies: str) -> list[dict[str, Any]]:
    return [document.content for document in parse(output(*bodies))]


def loaded(*bodies: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(f"{HEAD}{body}\n") for body in bodies]


@pytest.mark.parametrize(
    "body",
    [
        'data: {a: "b"}',
        'data: {"a": "b", c: "d"}',
        'data:\n  text: |\n    say "hello"\n    and "bye"',
        'data: {a: it"s, b: or"so}',
        'data: {a: "b"} # a "comment"',
        'data: {a: "\\x7f\\u0041\\n", b: "\\a"}',
        'data: {a: "two\n  lines"}',
        'data: {a: \'single "quoted"\', b: "x"}',
        'data: &all {a: "b"}\nother: *all',
        'data: {a: "@kubeserve:0@", b: "@kubeserve:1@"}',
        "data: {a: '@kubeserve:0@', b: \"c\"}",
        'data: {"a\\"b": "\\\\", c: ""}',
        "data: {a: 1, b: 1.5, c: true, d: null}",
        'data: {a: "é\u2028😀"}',
    ],
)
def test_a_document_is_read_as_yaml(body: str) -> None:
    assert read(body, body.replace('"b"', '"another"')) == loaded(body, body.replace('"b"', '"another"'))


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@given(st.lists(st.dictionaries(TEXTS, TEXTS, max_size=3), min_size=1, max_size=4))
def test_any_texts_are_read_as_yaml(contents: list[dict[str, str]]) -> None:
    bodies = [
        yaml.safe_dump({"data": content}, default_style='"', allow_unicode=True, width=10_000) for content in contents
    ]
    assert [one["data"] for one in read(*bodies)] == contents


def test_dates_stay_the_text_that_kubernetes_takes_them_for() -> None:
    [one] = read('data: {day: 2026-11-24, at: "x"}')
    assert one["data"]["day"] == "2026-11-24"


def test_each_object_knows_its_template() -> None:
    text = output("", template="c/templates/a.yaml") + output("", template="c/charts/d/templates/b.yaml")
    assert [document.template for document in parse(text)] == ["c/templates/a.yaml", "c/charts/d/templates/b.yaml"]


def test_a_template_that_made_nothing_is_no_object() -> None:
    assert list(parse("---\n# Source: c/templates/a.yaml\n# nothing here\n")) == []


@pytest.mark.parametrize("text", ["just text\n", "kind: X\n", "apiVersion: v1\nkind: 5\nmetadata: {}\n", "- a\n"])
def test_what_is_no_object_is_refused_by_its_templates_name(text: str) -> None:
    with pytest.raises(RenderError, match=r"c/templates/a\.yaml"):
        list(parse(f"---\n# Source: c/templates/a.yaml\n{text}"))


def test_what_is_no_yaml_is_refused_by_its_templates_name() -> None:
    with pytest.raises(RenderError, match=r"c/templates/a\.yaml"):
        list(parse("---\n# Source: c/templates/a.yaml\na: {b\n"))
