"""What a module's docstring says about other modules: each that it names exists, and its callers really import it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted(path for package in ("reconciler", "specs", "runtime") for path in (ROOT / package).rglob("*.py"))
USERS_OWN = {"predictor.py"}  # a file that users write
NAMED = re.compile(r"`([\w/]+\.py)`")
CALLERS = re.compile(
    r"\b(?:called|used|built|loaded|read|run|written|opened) by\b((?:`[^`]*`|[^`.;:])*)", re.IGNORECASE
)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def docstring(path: Path) -> str:
    return " ".join((ast.get_docstring(tree(path)) or "").split())


def modules_named(name: str) -> list[Path]:
    return [path for path in MODULES if f"/{path.relative_to(ROOT)}".endswith(f"/{name}")]


@cache
def imports(path: Path) -> frozenset[str]:
    """Every dotted name that is imported anywhere in a module, and each name out of it."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


@pytest.mark.parametrize("path", [path for path in MODULES if ".py`" in docstring(path)], ids=lambda p: p.stem)
def test_a_docstring_names_modules_that_exist_and_callers_that_import_it(path: Path) -> None:
    text = docstring(path)
    assert [name for name in NAMED.findall(text) if not modules_named(name) and name not in USERS_OWN] == []
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    callers = [name for clause in CALLERS.findall(text) for name in NAMED.findall(clause)]
    assert [name for name in callers if not any(dotted in imports(caller) for caller in modules_named(name))] == []


def test_the_check_finds_callers_at_all() -> None:
    found = CALLERS.findall("In: x. Called by `a.py`, `b/c.py` and others. Used by `d.py` alone; written by the store.")
    assert [NAMED.findall(clause) for clause in found] == [["a.py", "b/c.py"], ["d.py"], []]
