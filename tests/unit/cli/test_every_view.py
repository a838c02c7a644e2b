"""Hostile text in every field of every view stays text.

Objects are filled by their types, field by field, so a field that somebody adds tomorrow is tested too.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import re
import sys
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.cli import console, rounds
from reconciler.cli.commands import doctor, logs, predict, status
from reconciler.cli.endings import ending
from reconciler.cli.folding import MARK
from reconciler.cli.live import live_round, live_upload
from reconciler.cli.progress import EventPrinter
from reconciler.doctor.findings import Checked, Finding, FindingSeverity, Report
from reconciler.documents import outcome_document, validation_document
from reconciler.engine.execute import Outcome
from reconciler.engine.run import Event, Result
from reconciler.model.described import FieldChange
from reconciler.model.resources import Kind, ResourceId
from reconciler.model.text import json_text, styled, yaml_text
from reconciler.plan.model import Action, Change, Guard, Plan, Unclaimed
from reconciler.plan.objects import Objects
from reconciler.plan.views.data import plan_document
from reconciler.plan.views.markdown import render_markdown
from reconciler.plan.views.text import render_text
from reconciler.state.model import Phase
from reconciler.status.statuses import DeploymentStatus, VariantStatus, status_document
from reconciler.targets.kubernetes.applying.events import MAX_MESSAGE, event_message
from reconciler.targets.protocol import ObjectAction, ObjectChange, TargetError
from specs.errors import Trouble
from specs.problems import Problem, Severity
from specs.untrusted import Untrusted, is_visible

HONEST = "honest"
HOSTILE = {
    "sequences": "\x1b[2J\x1b[6A\x1b[J\r\x1b]0;TITLE\x07\x1b]8;;http://y\x1b\\link\x1b]8;;\x1b\\",
    "colours": "\x1b[31mred\x1b[8mhidden\x1b[0m",
    "line breaks": "a\r\n\n-   deployment payments\x0b\x0c\x1c\x85\u2028\u2029b",
    "direction": "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    "no glyphs": "\u200b\u200c\u200d\u2060\ufeff\u00ad\u3164\u2800\ufe0f\U000e0041",
    "controls": "\x00\x07\x08\x7f\x90\x9b31m\x9d0;t\x9c",
    "backticks": "`x``` y ~~~ ````\n```\n",
    "tables": "| a | b |\n| --- | --- |\n|",
    "HTML": "<script>alert(1)</script></code></summary></details><img src=x>&lt;<!--",
    "mentions": "@octocat #123 GH-1 !2 org/repo#4 a@b.example",
    "links": "[x](http://y) ![i](http://z) http://y.example www.y.example <http://y>",
    "headings": "# heading\n===\n- item\n> quote\n\n    code",
    "commands": "::error file=x::said\n::error::again\n##[error]x ##vso[task.x]y ##teamcity[z]",
    "surrogates": "\udcff\ud800",
    "templates": "{} {0} {x.__class__} %s [bold]x[/bold] \\",
    "long": "-   deployment payments " * 200,
    "blank": "",
}
OUR_LINES = {"detail", "meaning", "remedy"}
"""Fields whose line breaks are ours: foreign text in them is `Untrusted` where the message is built."""
MARKDOWN = MarkdownIt("commonmark").enable("table")
SGR = re.compile(r"\x1b\[\d+m")


def filled(kind: Any, text: str, field: str = "") -> Any:
    """An instance of a type, with `text` in every `str` of it."""
    if kind is str:
        return f"ours\n{Untrusted(text)}" if field in OUR_LINES else text
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{f.name: filled(hints[f.name], text, f.name) for f in dataclasses.fields(kind) if f.init})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    if isinstance(kind, type) and issubclass(kind, int | float):
        return kind(1)
    if kind is datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return filled(arguments[0], text, field)
    if get_origin(kind) in (tuple, frozenset):
        return get_origin(kind)([filled(arguments[0], text)])
    if get_origin(kind) is not None and issubclass(get_origin(kind), Mapping):
        return {filled(arguments[0], text): filled(arguments[1], text)}
    raise AssertionError(f"{field}: {kind} has no filling yet")


def changes(text: str) -> list[Change]:
    """Every kind of resource with every action, with an error and without; a variant belongs to a deployment."""
    differences = tuple(FieldChange(text, *pair) for pair in ((text, text), (None, text), (text, None)))
    found = []
    for number, (action, kind, fails) in enumerate(itertools.product(Action, Kind, (False, True))):
        name = "" if kind is Kind.TENANT else f"{text}{number}"
        change = dataclasses.replace(
            filled(Change, text),
            id=ResourceId(kind, f"{text}{number // 8}", name),
            action=action,
            fields=differences,
            error=filled(Trouble, text) if fails else None,
            deployment=ResourceId(Kind.DEPLOYMENT, f"{text}{number // 8}", f"{text}{number - 2}")
            if kind is Kind.VARIANT
            else None,
        )
        found.append(change)
    return sorted(found, key=lambda change: (change.id.tenant, change.id.kind is not Kind.TENANT))


def plan(text: str) -> Plan:
    guards, unclaimed = (filled(Guard, text),), (filled(Unclaimed, text),)
    base: Plan = filled(Plan, text)
    return dataclasses.replace(base, changes=tuple(changes(text)), guards=guards, unclaimed=unclaimed)


def objects(text: str) -> Objects:
    touched = tuple(dataclasses.replace(filled(ObjectChange, text), action=action) for action in ObjectAction)
    return {change.id: touched for change in changes(text)}


def problems(text: str) -> list[Problem]:
    return [dataclasses.replace(filled(Problem, text), severity=severity) for severity in Severity]


def findings(text: str) -> Report:
    found = [Checked(text, dataclasses.replace(filled(Finding, text), severity=s)) for s in FindingSeverity]
    return Report(tuple(found), (text,))


def statuses(text: str) -> tuple[DeploymentStatus, ...]:
    variants = tuple(dataclasses.replace(filled(VariantStatus, text), weight=weight) for weight in (90, 10))
    return tuple(
        dataclasses.replace(filled(DeploymentStatus, text), phase=phase, variants=variants)
        for phase in (*Phase, Phase.FAILED)
    )


def results(text: str) -> list[Result]:
    found = [dataclasses.replace(filled(Result, text), phase=phase) for phase in (*Phase, None)]
    return [dataclasses.replace(r, id=ResourceId(Kind.DEPLOYMENT, text, text)) for r in found]


def show_events(text: str) -> None:
    printer = EventPrinter()
    for phase in (*Phase, None):
        printer(dataclasses.replace(filled(Event, text), phase=phase))


def show_live_events(text: str) -> None:
    with live_round(plan(text)) as listener:
        for phase in (None, *Phase):
            listener(dataclasses.replace(filled(Event, text), phase=phase))
    with live_upload(text, 10) as sent:
        sent(5)


def show_results(text: str) -> None:
    for result in results(text):
        rounds.show_failures([result, result])


VIEWS: dict[str, Callable[[str], object]] = {
    "plan": lambda text: console.print_text(render_text(plan(text), show_unchanged=True, objects=objects(text))),
    "problems": lambda text: console.show_problems(problems(text)),
    "error": lambda text: ending(TargetError(text, f"ours\n{Untrusted(text)}"), 0),
    "findings": lambda text: doctor.print_text_report(findings(text)),
    "statuses": lambda text: status.print_statuses(statuses(text), "table"),
    "events": show_events,
    "live events": show_live_events,
    "results": show_results,
    "table": lambda text: console.print_text(console.table([("A", "B"), (text, text)], {})),
}
DATA: dict[str, Callable[[str], Any]] = {
    "plan": lambda text: plan_document(plan(text), objects(text)),
    "statuses": lambda text: status_document(statuses(text)),
    "findings": lambda text: doctor.report_document(findings(text)),
    "outcome": lambda text: outcome_document(plan(text), Outcome(tuple(results(text)))),
    "validation": lambda text: validation_document([text], problems(text)),
}


def encodable(document: Any) -> Any:
    if isinstance(document, str):
        return document.encode(errors="backslashreplace").decode()
    if isinstance(document, dict):
        return {encodable(key): encodable(value) for key, value in document.items()}
    return [encodable(each) for each in document] if isinstance(document, list) else document


def flat(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in (token, *flat(token.children or []))]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], list[str]]:
    """The lines that a view prints, on stdout and stderr."""

    def shown(view: str, text: str) -> list[str]:
        capsys.readouterr()
        VIEWS[view](text)
        said = capsys.readouterr()
        return (said.out + said.err).split("\n")

    return shown


NOT_BLANK = {name: text for name, text in HOSTILE.items() if text}
every_hostile = pytest.mark.parametrize("text", NOT_BLANK.values(), ids=NOT_BLANK)


@every_hostile
@pytest.mark.parametrize("view", VIEWS)
def test_a_terminal_or_log_gets_the_lines_of_the_honest_view_in_visible_characters(
    show: Callable[[str, str], list[str]], view: str, text: str
) -> None:
    lines = show(view, text)
    assert all(map(is_visible, lines))
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert len(lines) == len(show(view, HONEST))


@every_hostile
def test_colours_are_ours_alone_and_values_are_quoted_beside_the_arrow(text: str) -> None:
    coloured = render_text(plan(text), styled, objects=objects(text))
    honest = render_text(plan(HONEST), styled, objects=objects(HONEST))
    assert SGR.findall(coloured) == SGR.findall(honest)
    assert all(map(is_visible, SGR.sub("", coloured).split("\n")))


@every_hostile
def test_no_row_of_a_terminal_begins_with_the_middle_of_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setattr(console, "is_lively", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = render_text(plan(text), styled, objects=objects(text))
    rows = SGR.sub("", console.fold_on(sys.stdout, lines)).split("\n")
    begun = [row for row in rows if not row.lstrip(" ").startswith(MARK)]
    assert all(len(row) <= 80 for row in rows)
    assert len(begun) == lines.count("\n") + 1


@every_hostile
def test_markdown_has_the_parts_of_the_honest_one_and_foreign_text_only_in_code(text: str) -> None:
    honest, hostile = (flat(MARKDOWN.parse(render_markdown(plan(t), objects(t)))) for t in (HONEST, text))
    assert [token.type for token in hostile] == [token.type for token in honest]
    shown, expected = ([t.content for t in tokens if t.type == "text"] for tokens in (hostile, honest))
    assert shown == expected
    tags, ours = (
        [re.sub(r">[^<]*<", "><", t.content) for t in tokens if t.type in ("html_block", "html_inline")]
        for tokens in (hostile, honest)
    )
    assert tags == ours


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("view", DATA)
def test_json_and_yaml_hold_the_same_data_in_visible_characters(view: str, text: str) -> None:
    document = DATA[view](text)
    as_json, as_yaml = json_text(document), yaml_text([document])
    assert orjson.loads(as_json) == encodable(document)
    assert yaml.load(as_yaml, yaml.CSafeLoader) == encodable(document)
    lines = [*as_json.split("\n"), *as_yaml.split("\n")]
    assert all(map(is_visible, lines))
    assert not any(line.lstrip().startswith("::") for line in lines)


@every_hostile
def test_a_log_and_an_answer_have_a_line_for_each_of_theirs(capsys: pytest.CaptureFixture[str], text: str) -> None:
    logs.print_lines(text.split("\n"))
    predict.print_answer(encodable(text).encode())
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) in (2 * text.count("\n") + 3, 2 * text.count("\n") + 2)  # an answer may end with a line break
    assert all(is_visible(line.replace("\t", " ")) for line in lines)
    assert not any(line.lstrip().startswith("::") for line in lines)


@every_hostile
def test_an_answer_in_json_keeps_its_data(capsys: pytest.CaptureFixture[str], text: str) -> None:
    predict.print_answer(orjson.dumps({"predictions": [encodable(text)]}))
    out = capsys.readouterr().out
    assert orjson.loads(out) == {"predictions": [encodable(text)]}
    assert is_visible(out.rstrip("\n"))


@every_hostile
def test_every_line_of_a_detail_is_indented_even_if_foreign_text_broke_it(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    console.show_error("Summary", text)
    first, *others = capsys.readouterr().err.rstrip("\n").split("\n")
    assert first == "error: Summary"
    assert all(line.startswith("  ") and is_visible(line) for line in others)


@every_hostile
def test_a_kubernetes_event_has_one_visible_line_that_the_api_server_takes(text: str) -> None:
    for message in (text, text * 100):
        said = event_message(message)
        assert said
        assert is_visible(said)
        assert len(said) <= MAX_MESSAGE
