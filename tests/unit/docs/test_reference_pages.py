"""The reference pages leave nothing out: fields, commands, options, exit codes, error codes, metrics, limits."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.root import COMMANDS, kubeserve
from reconciler.model.resources import deployment_id
from reconciler.plan.model import Action, Change, Plan
from reconciler.plan.views.data import plan_document
from reconciler.state.model import Phase, Record, RoundRecord
from reconciler.status.statuses import DeploymentStatus, VariantStatus, status_document
from runtime.formats import SUFFIXES, Format
from runtime.manifest import ARTIFACT_NAMES
from specs.errors import Trouble
from specs.syntax import builder, reader

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
EVERYWHERE = frozenset({"--help", "--verbose"})
"""Options that every command has; they are described once."""

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MENTIONED = re.compile(r"`kubeserve ([a-z]+)")


def text_of(name: str) -> str:
    return (DOCS / name).read_text()


def section(command: str) -> str:
    """What cli.md says of one command."""
    return text_of("cli.md").partition(f"\n## kubeserve {command}\n")[2].partition("\n## ")[0]


def options_of(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def load(name: str) -> click.Command:
    command = kubeserve.get_command(click.Context(kubeserve), name)
    assert command is not None
    return command


def fields_of(schema: Any) -> Iterator[str]:
    """Every name of a property, however deep."""
    if isinstance(schema, dict):
        if isinstance(properties := schema.get("properties"), dict):
            yield from properties
        for part in schema.values():
            yield from fields_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from fields_of(part)


@pytest.mark.parametrize("name", ["kubeserve", "platform"])
def test_every_field_has_a_row(name: str) -> None:
    schema = json.loads((ROOT / f"specs/{name}.schema.json").read_text())
    rows = re.findall(r"^\| `(\w+)`", text_of(f"{name}-yaml.md"), re.MULTILINE)
    assert set(fields_of(schema)) - set(rows) == set()


def test_the_limits_of_a_spec_are_the_loaders() -> None:
    page = text_of("kubeserve-yaml.md")
    limits = (builder.MAX_DOCUMENTS, builder.MAX_DEPTH, builder.MAX_NODES, builder.MAX_ALIASED_NODES)
    for limit in (*limits, builder.MAX_ENTRIES, builder.MAX_FIELDS):
        assert f"| {limit:,} |" in page
    assert f"| {reader.MAX_FILE_BYTES >> 20} MiB |" in page


def test_every_format_and_suffix_is_described() -> None:
    page = text_of("kubeserve-yaml.md")
    assert [each for each in Format if f"| `{each}` |" not in page] == []
    assert [suffix for suffix in SUFFIXES if f"`{suffix}`" not in page] == []
    assert [name for name in ARTIFACT_NAMES.values() if f"`{name}`" not in text_of("stores.md")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_described(name: str) -> None:
    said = section(name)
    assert said
    for option in options_of(load(name)):
        long = max(option.opts, key=len)
        shorts = [short for short in option.opts if short != long]
        where = text_of("cli.md") if EVERYWHERE & set(option.opts) else said
        assert re.search(rf"{long}(?![\w-])|{'|'.join(shorts) or '^$'}(?![\w-])", where), f"{name} {long}"
        assert all(re.search(rf"`{short}", text_of("cli.md")) for short in shorts)


def test_every_exit_code_is_described() -> None:
    page = text_of("cli.md")
    assert [code for code in ExitCode if f"| {int(code)} |" not in page] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: str(page.name))
def test_commands_that_are_shown_exist_with_their_options(page: Path) -> None:
    for words in shown_commands(page):
        if words[0] == "kubeserve":
            known = {name for option in options_of(load(words[1])) for name in option.opts} | {"--help"}
            assert {word.partition("=")[0] for word in words if word.startswith("-")} - known == set(), words
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
    assert set(MENTIONED.findall(page.read_text())) - set(COMMANDS) == set()


def shown_commands(page: Path) -> Iterator[list[str]]:
    for block in CONSOLE.findall(page.read_text()):
        for line in re.findall(r"^\$ (.+)$", block, re.MULTILINE):
            for part in re.split(r"&&|;|\|", line.partition("  #")[0]):
                if words := shlex.split(part):
                    yield words


def test_every_option_of_the_runtime_is_described() -> None:
    from runtime.cli import command

    page = text_of("runtime.md")
    assert [o.opts[0] for o in options_of(command) if f"`{o.opts[0]}`" not in page] == []


def test_every_error_code_of_the_runtime_is_described() -> None:
    page = text_of("runtime.md")
    codes = {code for file in (ROOT / "runtime").rglob("*.py") for code in error_codes(file)}
    assert "feature_count" in codes
    assert {code for code in codes if f"`{code}`" not in page} == set()


def error_codes(file: Path) -> Iterator[str]:
    """The constants that a request's faults are made with."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            at = {"InputError": 0, "RequestFault": 1}.get(node.func.id)
            if at is not None and len(node.args) > at and isinstance(argument := node.args[at], ast.Constant):
                yield str(argument.value)


def test_every_metric_is_described() -> None:
    from reconciler.targets.local.gateway.metrics import Metrics as GatewayMetrics
    from runtime.server.metrics import Metrics as RuntimeMetrics
    from runtime.settings import Identity

    exposed = {"runtime.md": RuntimeMetrics(Identity(), 0).exposition(), "local-target.md": GatewayMetrics().render()}
    for page, exposition in exposed.items():
        names = re.findall(r"^# TYPE (\w+) ", exposition.decode(), re.MULTILINE)
        own = {name.removesuffix("_created") for name in names if not name.startswith("process_")}
        assert {name for name in own if f"`{name}" not in text_of(page)} == set()


def test_every_field_of_the_state_file_is_described() -> None:
    page = text_of("state.md")
    names = {field.name for kind in (Record, RoundRecord) for field in dataclasses.fields(kind)}
    assert {name for name in names if f'"{name}"' not in page} == set()
    assert {name for name in Record.__dataclass_fields__ if f"`{name}`" not in page} == set()
    assert [phase for phase in Phase if f"`{phase}`" not in page] == []


def test_every_reason_of_the_engine_is_described() -> None:
    page = text_of("state.md")
    engine = "".join(file.read_text() for file in (ROOT / "reconciler/engine").glob("*.py"))
    reasons = set(re.findall(r"(?:succeeded|failing_as|WalkError)\([^\")]*\"([A-Z][A-Za-z]+)\"", engine))
    assert "NotStarted" in reasons
    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()


def test_every_key_of_the_json_documents_is_described() -> None:
    page = text_of("state.md")
    change = Change(
        deployment_id("t", "d"), Action.CREATE, note="n", size=1, error=Trouble("s"), deployment=deployment_id("t", "d")
    )
    variant = VariantStatus("d-0123456789", "v1", 100, "sha256:0", 1, 1)
    status = DeploymentStatus("t", "d", Phase.READY, "Serving", "", "", "", (variant,))
    documents = (plan_document(Plan((change,))), status_document((status,)))
    assert {
        key for document in documents for key in keys_of(document) if not re.search(rf"[`\"]{key}[`\"]", page)
    } == set()
    assert [action for action in Action if f"`{action}`" not in page] == []


def keys_of(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        yield from document
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from keys_of(part)
