"""routes.json: what is written is what is read, and nothing else is taken for a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.targets.local.files import write_atomically
from reconciler.targets.local.gateway.routes import (
    ROUTES_FILE,
    Replica,
    Route,
    RouteTable,
    RouteTableError,
    RouteVariant,
)

labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
replicas = st.builds(Replica, st.sampled_from(["127.0.0.1", "::1"]), st.integers(1, 65_535))
versions = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True)
variants = st.builds(RouteVariant, labels, versions, st.text(), st.integers(0, 100), st.lists(replicas).map(tuple))
routes = st.builds(
    Route,
    labels,
    labels,
    st.floats(0.001, 10_000),
    st.lists(variants, max_size=3, unique_by=lambda variant: variant.name).map(tuple),
)
tables = st.builds(
    RouteTable,
    st.integers(0, 2**53),
    st.lists(routes, max_size=3, unique_by=lambda route: route.tenant).map(tuple),
)

EXAMPLE = RouteTable(
    7,
    (
        Route(
            "fraud",
            "churn",
            30.0,
            (RouteVariant("churn-0a1b2c3d4e", "v1", "sha256:00", 90, (Replica("127.0.0.1", 4123),)),),
        ),
    ),
)


@given(tables)
def test_reading_is_the_inverse_of_writing(table: RouteTable) -> None:
    assert RouteTable.from_json(table.to_json()) == table


def test_the_file_has_the_documented_shape() -> None:
    assert json.loads(EXAMPLE.to_json()) == {
        "generation": 7,
        "routes": [
            {
                "tenant": "fraud",
                "deployment": "churn",
                "request_seconds": 30.0,
                "variants": [
                    {
                        "name": "churn-0a1b2c3d4e",
                        "version": "v1",
                        "digest": "sha256:00",
                        "weight": 90,
                        "replicas": [{"host": "127.0.0.1", "port": 4123}],
                    }
                ],
            }
        ],
    }


def test_no_file_is_an_empty_table(tmp_path: Path) -> None:
    assert RouteTable.read(tmp_path) == RouteTable(0, ())


def test_a_written_table_is_read_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    EXAMPLE.write(tmp_path)
    EXAMPLE.write(tmp_path)
    assert RouteTable.read(tmp_path) == EXAMPLE
    assert [path.name for path in tmp_path.iterdir()] == [ROUTES_FILE]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _set(*path: Any, to: Any) -> Callable[[Any], None]:
    def edit(table: Any) -> None:
        for step in path[:-1]:
            table = table[step]
        table[path[-1]] = to

    return edit


_VARIANT = ("routes", 0, "variants", 0)


@pytest.mark.parametrize(
    "edit",
    [
        _set("generation", to=-1),
        _set("generation", to="7"),
        _set("generation", to=True),
        _set("routes", to=None),
        _set("routes", 0, to="fraud/churn"),
        _set("routes", 0, "tenant", to="Fraud"),
        _set("routes", 0, "tenant", to="fraud/churn"),
        _set("routes", 0, "deployment", to=""),
        _set("routes", 0, "deployment", to=None),
        _set("routes", 0, "request_seconds", to=0),
        _set("routes", 0, "request_seconds", to="soon"),
        _set(*_VARIANT, "name", to="churn\r\nX: y"),
        _set(*_VARIANT, "version", to="v 1"),
        _set(*_VARIANT, "weight", to=-1),
        _set(*_VARIANT, "weight", to=0.5),
        _set(*_VARIANT, "replicas", to={}),
        _set(*_VARIANT, "replicas", 0, "port", to=0),
        _set(*_VARIANT, "replicas", 0, "port", to=65_536),
        _set(*_VARIANT, "replicas", 0, to=["127.0.0.1", 4123]),
    ],
)
def test_what_is_no_table_is_refused(edit: Callable[[Any], None]) -> None:
    table = json.loads(EXAMPLE.to_json())
    edit(table)
    with pytest.raises(RouteTableError):
        RouteTable.from_json(json.dumps(table).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"null", b"{}", b'{"generation": 1}', b"\xff"])
def test_what_is_no_json_object_of_a_table_is_refused(text: bytes) -> None:
    with pytest.raises(RouteTableError):
        RouteTable.from_json(text)


def test_a_deployment_is_routed_once() -> None:
    twice = RouteTable(1, (Route("fraud", "churn", 1.0, ()), Route("fraud", "churn", 2.0, ())))
    with pytest.raises(RouteTableError, match="fraud/churn is there twice"):
        RouteTable.from_json(twice.to_json())


def test_a_variant_belongs_to_one_deployment() -> None:
    variant = RouteVariant("churn-a", "v1", "d", 1, ())
    twice = RouteTable(1, (Route("fraud", "churn", 1.0, (variant,)), Route("fraud", "other", 1.0, (variant,))))
    with pytest.raises(RouteTableError, match="fraud/churn-a is there twice"):
        RouteTable.from_json(twice.to_json())


def test_tenants_may_have_variants_of_the_same_name() -> None:
    variant = RouteVariant("churn-a", "v1", "d", 1, ())
    table = RouteTable(1, (Route("fraud", "churn", 1.0, (variant,)), Route("spam", "churn", 1.0, (variant,))))
    assert RouteTable.from_json(table.to_json()) == table
