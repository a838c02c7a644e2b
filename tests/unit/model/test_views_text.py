"""Foreign text reaches each view as text, and as nothing that the view obeys."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.model.resources import deployment_id
from reconciler.model.text import (
    TerminalText,
    code,
    code_block,
    json_text,
    json_visible,
    log_line,
    no_commands,
    styled,
    terminal,
    terminal_block,
    value_text,
    yaml_text,
)
from reconciler.targets.protocol import Readiness, ReadinessState
from specs.untrusted import is_visible
from tests.support.engine.graphs import graph
from tests.support.engine.memory_target import MemoryTarget
from tests.support.engine.rounds import Sandbox

ANYTHING = st.text(
    st.one_of(
        st.characters(codec=None, exclude_categories=()),
        st.sampled_from("\x1b\x9b\x07\r\n\t\x85\u2028\u202e\u2066\u200b`|<>@#[]()!:\\\"' \ud800"),
    ),
    max_size=30,
)
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


def flat(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in (token, *flat(token.children or []))]


def encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


@given(ANYTHING)
def test_a_terminal_gets_one_visible_line_for_a_value(text: str) -> None:
    assert terminal("a {} b", text).isprintable()
    assert is_visible(terminal("a {} b", text))


@given(ANYTHING)
def test_a_block_has_the_lines_of_its_text_and_no_others(text: str) -> None:
    block = terminal_block(text)
    assert block.count("\n") == text.count("\n")
    assert all(line.startswith("  ") and line.isprintable() for line in block.split("\n"))


def test_what_is_terminal_text_already_keeps_its_colour() -> None:
    assert terminal("{}: {}", styled("\x1b[32mfine", "red"), "\x1b[32m") == "\x1b[31m\\x1b[32mfine\x1b[0m: \\x1b[32m"


@pytest.mark.parametrize("command", ["::error file=x::said", "  ::set-env::", "a\n::add-mask::x"])
def test_no_line_begins_as_a_command_of_a_ci_system(command: str) -> None:
    assert not any(line.lstrip().startswith("::") for line in no_commands(TerminalText(command)).split("\n"))


@pytest.mark.parametrize("command", ["##[error]said", "a ##vso[task.setvariable variable=x]y", "##teamcity[message]"])
def test_a_command_that_may_stand_anywhere_in_a_line_is_none_in_any_view(command: str) -> None:
    views = (terminal("{}", command), log_line(command), json_text([command]), yaml_text([command]), code(command))
    assert not any("##" in view for view in views)
    assert orjson.loads(json_text([command])) == [command]
    assert yaml.safe_load(yaml_text([command])) == command


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain, with ümlauts and 漢字\tand tabs", "plain, with ümlauts and 漢字\tand tabs"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H\x1b[?1049hgone", "gone"),
        ("\x1b]0;a title\x07text", "text"),
        ("one\rtwo\x08\x07\x1b", "one\\rtwo\\x08\\x07\\x1b"),
        ("right\u202eleft", "right\\u202eleft"),
    ],
)
def test_a_line_of_a_log_loses_its_colours_and_keeps_its_tabs(line: str, shown: str) -> None:
    assert log_line(line) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "none"),
        ("info", "info"),
        ("", '""'),
        (" info", '" info"'),
        ('"info"', r'"\"info\""'),
        ("debug -> info", '"debug -> info"'),
        ("info\n\x1b[2J", r'"info\n\x1b[2J"'),
        (r"C:\new", r"C:\new"),
        ("C:\\new\n", r'"C:\\new\n"'),
    ],
)
def test_a_value_in_a_line_is_quoted_where_it_could_be_taken_for_something_else(value: str | None, shown: str) -> None:
    assert value_text(value) == shown


@given(ANYTHING)
def test_a_code_span_is_one_piece_of_code(text: str) -> None:
    kinds = [token.type for token in flat(MARKDOWN.parse(f"before {code(text)} behind"))]
    assert kinds == ["paragraph_open", "inline", "text", "code_inline", "text", "paragraph_close"]


@given(ANYTHING)
def test_a_code_span_stays_in_its_cell(text: str) -> None:
    tokens = flat(MARKDOWN.parse(f"| a | b |\n| --- | --- |\n| {code(text)} | {code(text)} |\n"))
    kinds = [token.type for token in tokens]
    assert (kinds.count("td_open"), kinds.count("tr_open"), kinds.count("code_inline")) == (2, 2, 2)


@given(ANYTHING)
def test_a_code_block_is_one_piece_of_code(text: str) -> None:
    kinds = [token.type for token in flat(MARKDOWN.parse(f"before\n\n{code_block(text)}\n\nbehind"))]
    paragraph = ["paragraph_open", "inline", "text", "paragraph_close"]
    assert kinds == [*paragraph, "fence", *paragraph]


@given(ANYTHING)
def test_json_keeps_the_data_and_shows_it_in_visible_characters(text: str) -> None:
    document = {f"k{text}": [text, {"x": text}]}
    shown = json_text(document)
    assert orjson.loads(shown) == {f"k{encodable(text)}": [encodable(text), {"x": encodable(text)}]}
    assert all(is_visible(line) for line in shown.split("\n"))


@given(ANYTHING)
def test_foreign_json_keeps_its_data(text: str) -> None:
    foreign = f"[\r{orjson.dumps(encodable(text)).decode()}\r\n]"
    assert orjson.loads(json_visible(foreign)) == [encodable(text)]
    assert all(is_visible(line) for line in json_visible(foreign).split("\n"))


@given(ANYTHING)
def test_yaml_keeps_the_data_and_shows_it_in_visible_characters(text: str) -> None:
    shown = yaml_text([{f"k{text}": [text, {"x": text}]}])
    assert yaml.safe_load(shown) == {f"k{encodable(text)}": [encodable(text), {"x": encodable(text)}]}
    assert all(is_visible(line) for line in shown.split("\n"))
    assert not any(line.lstrip().startswith("::") for line in shown.split("\n")) or text.startswith("::")


def test_a_failure_quotes_a_model_in_visible_words(tmp_path: Path) -> None:
    said = Readiness(ReadinessState.FAILED, "\x1b[2Jno weights\r", ("\x1b[31mERROR\x1b[0m",))
    sandbox = Sandbox(tmp_path, MemoryTarget(lambda _: said))
    sandbox.apply(graph({"fraud/churn": "v1"}))
    record = sandbox.state.resources[deployment_id("fraud", "churn")]
    assert record.message == "version v1: \\x1b[2Jno weights\\r"
    assert record.log == ("ERROR",)
