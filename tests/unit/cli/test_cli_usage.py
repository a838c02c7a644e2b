"""Wrong usage: always 64, always one plain error, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.root import COMMANDS, kubeserve
from tests.support.sources.repositories import Repository

Call = Callable[..., Any]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "No such command 'nosuch'."),
        (["plann"], "Did you mean 'plan'?"),
        (["plan", "--nosuch"], "No such option '--nosuch'."),
        (["plan", "a", "b"], "unexpected extra argument"),
        (["status", "-o", "xml"], "'xml' is not one of"),
        (["predict"], "Missing argument"),
        (["predict", "d"], "Give the inputs with either --data or --file."),
        (["predict", "d", "-d", "[[1"], "The inputs are not JSON"),
        (["predict", "d", "-d", '[["caf\udce9"]]'], "The inputs are not JSON: they are not UTF-8."),
        (["predict", "d", "-d", "[1]", "--variant", "caf\udce9"], "There is no variant 'caf?'."),
        (["predict", "d", "-d", "[1]", "--variant", "模型"], "There is no variant '模型'."),
        (["predict", "d", "-d", "[1]", "--variant", "a\nb"], "There is no variant 'a\\nb'."),
        (["predict", "d", "-d", "[1]", "--variant", ""], "There is no variant ''."),
        (["init", "--tenant", "caf\udce9"], "The tenant name 'caf?'"),
        (["predict", "d", "-d", "[1]", "-f", "-"], "Give the inputs with either --data or --file."),
        (["plan", "--only", "/d"], "is not TENANT or TENANT/DEPLOYMENT"),
        (["plan", "--only", "t/d/e"], "is not TENANT or TENANT/DEPLOYMENT"),
        (["plan", "--platform", "none.yaml"], "does not exist"),
        (["logs", "d", "--lines", "-1"], "is not in the range"),
        (["logs", "d", "--failed", "--follow"], "--failed shows the one log that is kept"),
        (["apply", "--lock-timeout", "-1"], "is not in the range"),
        (["push", "file", "--tenant", "t", "--model", "m"], "Missing option '--version'"),
        (["init", "--tenant", "No_Good"], "Did you mean 'no-good'?"),
        (["init", "--tenant", "api"], "No tenant can be named 'api'"),
    ],
)
def test_wrong_usage_is_told_in_one_error(call: Call, arguments: list[str], said: str) -> None:
    done = call(*arguments)
    assert done.code == ExitCode.USAGE
    assert done.err.startswith("error: ")
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["validate", "repo", "--ref", "caf\udce9"], "has no 'caf?'. It has 'main'."),
        (["plan", "/nowhere/caf\udce9"], "'/nowhere/caf?' is no directory of this machine"),
        (["validate", "caf\udce9"], "'caf?' is no directory of this machine"),
        (["logs", "caf\udce9"], "no 'caf?' either"),
        (["predict", "caf\udce9", "-d", "[1]"], "no 'caf?' either"),
        (["push", "caf\udce9", "--tenant", "a", "--model", "b", "--version", "c"], "There is no 'caf?'."),
        (["push", "caf\udce9", "--tenant", "a", "--model", "b", "--version", "caf\udce9"], "version name 'caf?'"),
    ],
)
def test_arguments_that_are_not_utf8_are_names_like_others(
    call: Call, folder: Path, arguments: list[str], said: str
) -> None:
    Repository.create(folder / "repo").commit()
    done = call(*arguments)
    assert done.code == ExitCode.FAILED
    assert said in done.err
    assert "KubeServe itself failed" not in done.err


def test_a_directory_that_is_not_utf8_is_read(call: Call, folder: Path, write_spec: Callable[..., Path]) -> None:
    write_spec("caf\udce9/kubeserve.yaml")
    assert call("validate", "caf\udce9").out.startswith("Good: 1 tenant")
    Repository.create(folder / "caf\udce9").commit()
    assert call("validate", "caf\udce9", "--ref", "main").out.startswith("Good: 1 tenant")


def test_a_file_instead_of_a_directory_says_what_to_name(call: Call, write_spec: Callable[..., Path]) -> None:
    write_spec("team/kubeserve.yaml")
    for file in ("team/kubeserve.yaml", "team/model/predictor.py"):
        assert f"'{file}' is a file. Name the directory that it is in." in call("validate", file).err


def test_without_a_command_the_help_is_shown(call: Call) -> None:
    done = call()
    assert done.code == ExitCode.USAGE
    assert "Commands:" in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(call: Call, name: str) -> None:
    done = call(name, "-h")
    assert done.code == ExitCode.OK
    assert done.out.startswith(f"Usage: kubeserve {name}")
    assert "--verbose" in done.out


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"init", "schema", "version", "completion"}))
def test_every_command_that_reads_specs_takes_a_path_or_a_url_with_a_ref(name: str) -> None:
    command = kubeserve.get_command(click.Context(kubeserve), name)
    assert command is not None
    parameters = {parameter.name: parameter for parameter in command.params}
    assert not parameters["source"].required
    assert {"ref", "platform"} <= parameters.keys()


def test_help_lists_every_command_in_order(call: Call) -> None:
    listed = [line.split()[0] for line in call("--help").out.partition("Commands:\n")[2].splitlines() if line]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("where", [["-vv", "plan"], ["plan", "-vv"], ["-v", "plan", "-v"]])
def test_a_traceback_is_shown_from_the_second_v_on(call: Call, where: list[str]) -> None:
    done = call(*where, "nowhere")
    assert done.code == ExitCode.FAILED
    assert "Traceback" in done.err
    assert "Traceback" not in call("-v", "plan", "nowhere").err


def test_the_log_is_quiet_unless_it_is_asked_for(call: Call, write_spec: Callable[..., Path]) -> None:
    write_spec()
    assert call("plan").err == ""
    lines = call("-v", "plan").err.splitlines()
    assert [line.split()[2] for line in lines] == ["planning", "desired", "observed", "planned"]
    assert len({line.partition("round=")[2][:36] for line in lines}) == 1
    assert call("plan").err == "", "the log of one command is not that of the next"


@pytest.mark.parametrize("arguments", [["--help"], ["validate"], ["plan"]])
def test_a_quiet_command_does_not_load_the_log_s_library(
    folder: Path, write_spec: Callable[..., Path], arguments: list[str]
) -> None:
    write_spec()
    program = "import sys; from reconciler.cli.root import run; run(sys.argv[1:]); print('structlog' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("False\n")


def test_a_bug_says_that_it_is_one(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("reconciler.workspace.open_workspace", broken)
    done = call("plan")
    assert done.code == ExitCode.FAILED
    assert done.err.startswith("error: KubeServe itself failed: ZeroDivisionError: oh\n  This is a bug.")


def test_a_refusal_of_the_machine_is_no_bug(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device", "/data/x")

    monkeypatch.setattr("reconciler.workspace.open_workspace", refused)
    done = call("plan")
    assert done.code == ExitCode.FAILED
    assert done.err.startswith("error: No space left on device\n  '/data/x'.")


def test_the_version_is_told_to_people_and_programs(call: Call) -> None:
    assert call("version").out.startswith(f"kubeserve {call('--version').out.strip()} (Python 3.")
    assert call("version", "-o", "json").data.keys() == {"kubeserve", "python", "system"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(call: Call, shell: str) -> None:
    assert "_KUBESERVE_COMPLETE" in call("completion", shell).out


def test_the_schema_is_the_one_that_is_committed(call: Call) -> None:
    specs = Path(__file__).parents[3] / "specs"
    assert call("schema").out == (specs / "kubeserve.schema.json").read_text()
    assert call("schema", "platform").out == (specs / "platform.schema.json").read_text()
