"""One module of the command line prints, so one place decides how foreign text is shown."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "reconciler/cli"
EXEMPT = {
    "console.py": {"click.echo"},
    "interrupts.py": {"os.write"},  # constant text, past Python's buffers
    "progress.py": {"sys.stderr.write"},  # the line that shows the current step
}
PRINTS = {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write", "os.write"}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_command_prints_through_the_console(path: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert calls & PRINTS == EXEMPT.get(path.name, set())
