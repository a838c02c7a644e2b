"""What specs, paths and models write can forge nothing that a person reads on a terminal or in a CI system's log."""

from __future__ import annotations

import json

from tests.support.cli.desk import Desk, command_line, environment
from tests.support.cli.terminal import Terminal

FORGED = "info\x1b[6A\x1b[J\r~   deployment r\n        env.LEVEL  debug -> info"
"""Moves up six lines, erases what is below, and draws another change there."""
WRAPPED = "info" + " " * 70 + "-   deployment payments"
"""As wide as the terminal, which would begin its next row with the rest."""
COMMAND = "info\n::error file=x::said by the repository\n\x1b]0;TITLE\x07##[error]said"
FOLDERS = ("e\x1b]0;TITLE\x07\x1b[31m", "n\n::error file=x::said by the repository\n", "::error::x", "b\u202ecod.exe")
SAYS = """
    class Predictor:
        def __init__(self, path):
            print("\\x1b[2J\\x1b]0;TITLE\\x07\\x1b[31mloading\\x1b[0m\\u202e\\r", flush=True)
            print("::error file=x::said by the model", flush=True)

        def predict(self, inputs):
            return ["\\x1b[2J\\u202e\\x9b31m::error::x" for _ in inputs]
"""


def on_terminal(desk: Desk, *arguments: str) -> Terminal:
    with Terminal(command_line(*arguments), desk.folder, environment(), columns=80) as terminal:
        terminal.wait()
    return terminal


def begun(screen: list[str]) -> list[str]:
    """The rows that begin a line; those that go on with one are marked."""
    return [row for row in screen if not row.strip().startswith("↳")]


def with_level(desk: Desk, level: str, *others: str) -> None:
    desk.spec({"d": {"version": "v1", "env": {"LEVEL": level}}, **dict.fromkeys(others, "v1")})


def test_a_value_of_a_spec_adds_no_line_to_the_plan_and_takes_none_away(desk: Desk) -> None:
    with_level(desk, "debug", "payments")
    desk.apply()
    with_level(desk, "info")
    honest = begun(on_terminal(desk, "plan").screen)
    logged, markdown = (len(desk.run("plan", "-o", output).out.splitlines()) for output in ("text", "markdown"))
    for value in (FORGED, WRAPPED, COMMAND):
        with_level(desk, value)
        terminal = on_terminal(desk, "plan")
        rows = begun(terminal.screen)
        assert len(rows) == len(honest)
        assert [row for row in rows if row.startswith("-")] == ["-   deployment payments  (its URL stops answering)"]
        assert [row for row in rows if row.startswith("~")] == ["~   deployment d"]
        assert b"\x1b]" not in terminal.output
        log = desk.run("plan").out.splitlines()
        assert len(log) == logged
        assert all(line.isprintable() and "##[" not in line for line in log)
        assert not any(line.lstrip().startswith("::") for line in log)
        assert len(desk.run("plan", "-o", "markdown").out.splitlines()) == markdown
        (new,) = (
            field["new"]
            for change in desk.run("plan", "-o", "json").data["changes"]
            for field in change["fields"]
            if field["field"] == "env.LEVEL"
        )
        assert new == value


def test_the_path_of_a_spec_is_text_on_a_terminal_and_in_a_log(desk: Desk) -> None:
    for folder in FOLDERS:
        (desk.folder / folder).mkdir(parents=True)
        (desk.folder / folder / "kubeserve.yaml").write_text("tenant: [")
    shown, logged = on_terminal(desk, "validate"), desk.run("validate")
    assert logged.code == 1
    for line in logged.err.splitlines():
        assert line.isprintable()
        assert not line.lstrip().startswith("::")
    assert logged.err.count(": error: ") == len(FOLDERS)
    assert r"e\x1b]0;TITLE\x07\x1b[31m/kubeserve.yaml:1:" in logged.err
    assert b"\x1b]" not in shown.output
    assert "\u202e" not in shown.text
    files = {problem["file"] for problem in desk.run("validate", "-o", "json").data["problems"]}
    assert files == {f"{folder}/kubeserve.yaml" for folder in FOLDERS}


def test_a_model_s_log_and_answers_are_text_also_in_a_pipe(desk: Desk) -> None:
    desk.predictor("v1", SAYS)
    desk.spec({"d": "v1"})
    desk.apply()
    piped, shown = desk.run("logs", "d"), on_terminal(desk, "logs", "d")
    assert any("said by the model" in line for line in piped.out.splitlines())
    assert not any(line.lstrip().startswith("::") for line in piped.out.splitlines())
    assert all(line.replace("\t", " ").isprintable() for line in piped.out.splitlines())
    assert b"\x1b" not in shown.output
    answer = desk.run("predict", "d", "-d", "[1]")
    assert answer.out.strip().isprintable()
    assert json.loads(answer.out)["predictions"] == ["\x1b[2J\u202e\x9b31m::error::x"]
