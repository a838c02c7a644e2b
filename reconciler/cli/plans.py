"""Plans as the commands show, save and compare them."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import paint
from reconciler.plan.model import Plan
from reconciler.plan.render_data import plan_digest, plan_document, render_json, render_markdown
from reconciler.plan.render_text import render_text
from specs.errors import KubeServeError


class SavedPlanError(KubeServeError):
    """A saved plan that can't be read, or that is not what would be done now."""

    code = "saved-plan"


def print_plan(plan: Plan, output: str, *, show_unchanged: bool = False) -> None:
    match output:
        case "json":
            click.echo(render_json(plan), nl=False)
        case "markdown":
            click.echo(render_markdown(plan), nl=False)
        case _:
            click.echo(render_text(plan, paint, show_unchanged=show_unchanged), nl=False)


def save_plan(plan: Plan, path: Path) -> None:
    """SavedPlanError when the file can't be written."""
    try:
        path.write_text(render_json(plan))
    except OSError as error:
        raise SavedPlanError("Plan can't be saved", f"{path}: {error.strerror}.") from error


def check_saved(plan: Plan, path: Path) -> None:
    """SavedPlanError unless the plan of this moment is, to the letter, the one that was saved."""
    import orjson

    try:
        saved = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise SavedPlanError("Saved plan can't be read", f"{path}: {error}.") from error
    now = orjson.loads(render_json(plan))
    if plan_digest(saved) == plan_digest(now):
        return
    what = "; ".join(_reasons(saved, plan_document(plan))) or "what would be done is not what it shows"
    raise SavedPlanError("Saved plan is out of date", f"{path}: {what}. Plan again.")


def _reasons(saved: object, now: dict[str, object]) -> list[str]:
    names = {
        "desired": "the specs or the platform",
        "live": "what runs",
        "lineage": "the state file",
        "serial": "the state",
    }
    before = saved.get("binding") if isinstance(saved, dict) else None
    after = now["binding"]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ["it is no plan of this KubeServe"]
    return [f"{words} changed since" for key, words in names.items() if before.get(key) != after[key]]
