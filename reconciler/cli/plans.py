"""Plans as the commands show, save and compare them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler.cli.console import fold_on, paint, print_data, print_json, print_text, print_yaml
from reconciler.cli.naming import check_scope
from reconciler.model.resources import JSON, Scope
from reconciler.model.text import TerminalText, json_text
from reconciler.plan.inputs import PlanOptions
from reconciler.plan.model import Plan
from reconciler.plan.objects import Objects, objects_of
from reconciler.plan.views.data import PLAN_FORMAT, plan_digest, plan_document, render_json
from reconciler.plan.views.markdown import render_markdown
from reconciler.plan.views.text import render_text
from reconciler.reconcile import Planned
from specs.errors import KubeServeError


class SavedPlanError(KubeServeError):
    """A saved plan that can't be read, or that is not what would be done now."""

    code = "saved-plan"


@dataclass(frozen=True, slots=True)
class Saved:
    """A plan that `plan --out` wrote, and the options that it was made with."""

    path: Path
    document: JSON
    scope: Scope
    allow_deletions: bool
    prune_unclaimed: bool

    def check(self, plan: Plan) -> None:
        """SavedPlanError unless the plan of this moment is, to the letter, the one that was saved."""
        now = orjson.loads(render_json(plan))
        if plan_digest(self.document) == plan_digest(now):
            return
        what = "; ".join(_reasons(self.document, now)) or "what would be done is not what it shows"
        raise SavedPlanError("Saved plan is out of date", f"{self.path}: {what}. Plan again.")


def find_objects(planned: Planned) -> Objects:
    """What each change would do to the target's own objects."""
    return objects_of(planned.plan, planned.world.desired, planned.world.prepared)


def print_plan(planned: Planned, output: str, *, show_unchanged: bool = False, objects: Objects | None = None) -> None:
    match output:
        case "json":
            print_json(plan_document(planned.plan, objects))
        case "yaml":
            print_yaml([plan_document(planned.plan, objects)])
        case "markdown":
            print_data(render_markdown(planned.plan, objects))
        case _:
            if text := plan_text(planned, show_unchanged=show_unchanged, objects=objects):
                print_text(fold_on(sys.stdout, text))


def plan_text(planned: Planned, *, show_unchanged: bool = False, objects: Objects | None = None) -> TerminalText:
    """Empty when no spec could be read, so that nothing is planned: the problems say why."""
    plan = planned.plan
    if planned.specs.is_broken and not (plan.changes or plan.guards or plan.unclaimed):
        return TerminalText()
    return render_text(plan, paint, show_unchanged=show_unchanged, partial=planned.specs.is_broken, objects=objects)


def save_plan(plan: Plan, options: PlanOptions, path: Path) -> None:
    """SavedPlanError when the file can't be written."""
    chosen = {
        "scope": options.scope.names,
        "allow_deletions": options.allow_deletions,
        "prune_unclaimed": options.prune_unclaimed,
    }
    try:
        path.write_text(json_text({"options": chosen, "plan": plan_document(plan)}) + "\n", encoding="utf-8")
    except OSError as error:
        raise SavedPlanError("Plan can't be saved", f"{path}: {error.strerror}.") from error


def read_saved(path: Path) -> Saved:
    """SavedPlanError for what `plan --out` did not write."""
    try:
        content = orjson.loads(path.read_bytes())
        document, options = content["plan"], content["options"]
        if document["format"] != PLAN_FORMAT:
            raise ValueError(f"format {document['format']}")
        scope = Scope.of(*options.pop("scope"))
        return Saved(path, document, scope, **options)
    except OSError as error:
        raise SavedPlanError("Saved plan can't be read", f"{path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SavedPlanError(
            "Not a saved plan", f"{path} was not written by this KubeServe's `plan --out`. Plan again."
        ) from error


def check_planned_scope(planned: Planned) -> None:
    """NamingError when --only names what neither the specs nor anything that runs or is recorded has."""
    world = planned.world
    if not planned.specs.is_broken:
        known = (*world.desired.tenants, *world.desired.deployments, *world.live.resources, *world.state.resources)
        check_scope(planned.plan.scope, known)


def _reasons(saved: JSON, now: dict[str, Any]) -> list[str]:
    names = {
        "desired": "the specs or the platform",
        "live": "what runs",
        "prepared": "what would be applied",
        "lineage": "the state file",
        "serial": "the state",
    }
    before, after = saved.get("binding", {}), now["binding"]
    return [f"{words} changed since" for key, words in names.items() if before.get(key) != after[key]]
