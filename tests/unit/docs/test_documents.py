"""What the pages show is so: files load, links lead somewhere, paths and messages are those of the code."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from reconciler.state.model import from_bytes
from specs.loading.loader import SpecFile, load_platform, load_tenants
from specs.models.platform import default_platform

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples/README.md"],
    key=lambda page: str(page.relative_to(ROOT)),
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
CODE_PATH = re.compile(
    r"`((?:reconciler|specs|runtime|tests|examples|docs|targets|sources|artifacts|engine|plan|state)/[\w./-]*)`"
)
TEN_LINES = 10
MEANINGFUL = 20  # characters of a message that are always the same


@pytest.fixture(params=PAGES, ids=NAMES)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def blocks(page: Path, language: str) -> Iterator[str]:
    return (text for found, text in FENCE.findall(page.read_text()) if found == language)


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def test_whole_spec_files_load_without_a_problem(page: Path) -> None:
    for text in blocks(page, "yaml"):
        if re.search(r"^tenant:", text, re.MULTILINE):
            loaded = load_tenants([SpecFile("kubeserve.yaml", text.encode())], default_platform())
            assert [problem.render() for problem in loaded.problems] == []


def test_whole_platform_files_load_without_a_problem(page: Path) -> None:
    for text in blocks(page, "yaml"):
        if text.startswith("apiVersion:") and not re.search(r"^tenant:", text, re.MULTILINE):
            load_platform("platform.yaml", text.encode())


def test_json_is_json(page: Path) -> None:
    for text in blocks(page, "json"):
        json.loads(text)


def test_the_pages_show_specs_platform_files_and_json() -> None:
    shown = [text for page in PAGES for text in blocks(page, "yaml")]
    whole = [text for text in shown if text.startswith("apiVersion:")]
    specs = [text for text in whole if re.search(r"^tenant:", text, re.MULTILINE)]
    assert specs
    assert len(whole) > len(specs), "no page shows a whole platform.yaml"
    assert any(True for page in PAGES for _ in blocks(page, "json"))


def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} of {page.name} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link} of {page.name} has no such heading"


def test_paths_of_the_code_exist(page: Path) -> None:
    for path in CODE_PATH.findall(prose(page)):
        assert (ROOT / path).exists() or (ROOT / "reconciler" / path).exists(), f"{page.name} names {path}"


def test_nothing_shows_where_it_was_written(page: Path) -> None:
    assert str(ROOT) not in page.read_text()


def test_the_spec_that_the_readme_begins_with_has_ten_lines() -> None:
    first = next(blocks(ROOT / "README.md", "yaml"))
    assert len(first.splitlines()) <= TEN_LINES
    loaded = load_tenants([SpecFile("kubeserve.yaml", first.encode())], default_platform())
    assert loaded.ok
    assert list(loaded.tenants["demo"].deployments) == ["iris"]


def test_the_spec_that_the_readme_begins_with_is_the_quickstart() -> None:
    first = next(blocks(ROOT / "README.md", "yaml")).splitlines()
    assert set(first) <= set((ROOT / "examples/quickstart/kubeserve.yaml").read_text().splitlines())


def test_the_state_file_in_its_page_is_one() -> None:
    [state] = [text for text in blocks(ROOT / "docs/state.md", "json") if '"lineage"' in text]
    assert from_bytes(state.encode(), "docs/state.md").resources


def test_troubleshooting_is_sorted_by_messages_that_there_are() -> None:
    said = source_text()
    for heading in re.findall(r"^### (.+)$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE):
        words = heading.partition("…")[0].strip()
        assert words in said or any(re.fullmatch(one, words) for one in composed()), f"nothing says {heading!r}"


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text()))
    assert {name for name in NAMES if name.startswith("docs/")} <= linked


def test_every_example_is_in_their_index() -> None:
    linked = set(LINK.findall((ROOT / "examples/README.md").read_text()))
    assert {folder.name for folder in (ROOT / "examples").iterdir() if folder.is_dir()} <= linked


@cache
def source_text() -> str:
    rooms = (ROOT / room for room in ("reconciler", "runtime", "specs"))
    return "\n".join(file.read_text() for room in rooms for file in room.rglob("*.py"))


@cache
def composed() -> tuple[str, ...]:
    """Patterns of the messages that are put together from a text and something in it."""
    strings = (node for node in ast.walk(ast.parse(source_text())) if isinstance(node, ast.JoinedStr))
    return tuple(_pattern(string) for string in strings if _letters(string) >= MEANINGFUL)


def _pattern(string: ast.JoinedStr) -> str:
    parts = (re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in string.values)
    return "".join(parts)


def _letters(string: ast.JoinedStr) -> int:
    return sum(len(str(part.value)) for part in string.values if isinstance(part, ast.Constant))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
